//! The main job, end to end, told as a story.
