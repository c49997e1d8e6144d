//! Development commands: test, models, teeth, crash, tidy, ci.

fn main() {}
