//! The refresh protocol, model-checked on the transitions that workers run.
//!
//! # Layout, in reading order
//! 1. [`time`], [`names`]: ticks, and small numbers for what a world counts.
//! 2. [`switch`], [`bounds`]: the rules that can be taken away, and how much may go wrong.
//! 3. [`upstream`], [`world`]: what there is. Redis is the core's own state.
//! 4. [`action`], [`possible`], [`step`], [`store`], [`stranger`], [`happened`]: what can happen, and what it does; the core's transitions decide.
//! 5. [`pack`]: worlds that differ in nothing that matters are one.
//! 6. [`settle`], [`model`]: what must hold, and the model as stateright explores it.
//! 7. [`cases`], [`explore`], [`story`]: which models there are, what comes of them, and how that reads.

pub mod action;
pub mod bounds;
pub mod cases;
pub mod explore;
pub mod happened;
pub mod model;
pub mod names;
pub mod pack;
pub mod possible;
pub mod settle;
pub mod step;
pub mod store;
pub mod story;
pub mod stranger;
pub mod switch;
pub mod time;
pub mod upstream;
pub mod world;
