-- Totals, never increments: a row holds all that was ever counted under its key.
CREATE TABLE country_visits (
    application_id TEXT NOT NULL,
    country TEXT NOT NULL,
    visits BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (application_id, country)
);

-- Lines that are no visit, by the importer's run and partition they came from.
CREATE TABLE rejected_lines (
    application_id TEXT NOT NULL,
    source TEXT NOT NULL,
    lines BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (application_id, source)
);

-- Visits by five-second window of arrival; only the last minute is kept.
CREATE TABLE visit_windows (
    application_id TEXT NOT NULL,
    window_start_ms BIGINT NOT NULL,
    country TEXT NOT NULL,
    visits BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (application_id, window_start_ms, country)
);
