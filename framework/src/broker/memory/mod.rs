//! The in-process broker: a faithful log for tests, demos and embedded use.
