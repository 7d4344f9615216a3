//! The `mcflush` command.

fn main() {}
