#!/usr/bin/env python3
"""Counts an access log independently of the application: visits, lines that are no visit, visits by
address, and, given the countries of addresses, visits by country.

usage: access_log_count.py LOG... [--countries FILE] [--rejected]

Prints JSON: {"total": n, "rejected": n, "addresses": {"1.2.3.4": n, ...}, "countries": {"US": n, ...}}.

Independent are: the reading of lines, the decision what a visit is (one regular expression here, a
hand-written parser there), and all sums. Not independent are the countries: FILE has lines
"ADDRESS CODE" from wherever the caller takes them; addresses that it lacks count as ZZ. LOG may end in .gz.
"""

import argparse
import collections
import gzip
import ipaddress
import json
import re
import sys

# Client, identity and user; time; quoted request; status; size. What stands behind does not matter:
# a cut off user agent does not make a visit undone.
VISIT = re.compile(
    rb"""^\s*
    (?P<client>\S.*?)\s+\[
    \d{1,2}/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}
    :\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?\s*(?:[+-]\d{2}:?(?:\d{2})?|Z|UTC|GMT)\]\s+
    "(?P<request>.*?)(?<!\\)(?:\\\\)*"\s+
    (?:\d{3}|-)\s+(?:\d+|-)(?:\s|$)""",
    re.VERBOSE | re.IGNORECASE,
)


def address(token):
    """The address in a token, in the form that everybody writes it; None for a host name."""
    text = token.decode("utf-8", "replace").strip("[]").split("%")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def visit_client(line):
    """The client's token; None if the line is no visit."""
    match = VISIT.match(line)
    if not match:
        return None
    tokens = match["client"].replace(b", ", b",").split()
    return tokens[0].split(b",")[0] if len(tokens) >= 3 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", nargs="+")
    parser.add_argument("--countries", metavar="FILE")
    parser.add_argument("--rejected", action="store_true", help="list the lines that are no visit")
    options = parser.parse_args()

    addresses, total, rejected = collections.Counter(), 0, 0
    for path in options.log:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as log:
            for line in log:
                if not line.strip():
                    continue
                client = visit_client(line)
                if client is None:
                    rejected += 1
                    if options.rejected:
                        sys.stderr.buffer.write(line)
                    continue
                total += 1
                addresses[address(client) or client.decode("utf-8", "replace")] += 1

    result = {"total": total, "rejected": rejected, "addresses": dict(addresses)}
    if options.countries:
        with open(options.countries, encoding="utf-8") as lines:
            known = dict(line.split() for line in lines if line.strip())
        countries = collections.Counter()
        for host, visits in addresses.items():
            countries[known.get(host, "ZZ")] += visits
        result["countries"] = dict(countries)
    json.dump(result, sys.stdout, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
