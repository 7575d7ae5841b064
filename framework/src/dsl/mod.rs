//! The typed surface: streams, tables, windows and their options.

pub mod windows;

pub use windows::{Window, Windowed};
