//! The cases that are explored with every change, and what worlds are packed by.
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod breaking;
mod holding;
mod packing;

use zhongkong_model::cases::{Case, Size, all};

/// The small cases of this kind: those that break, or those that hold.
fn small(breaks: bool) -> impl Iterator<Item = Case> {
    all()
        .into_iter()
        .filter(move |case| case.size == Size::Small && case.broken.is_some() == breaks)
}

#[track_caller]
fn case(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).unwrap()
}
