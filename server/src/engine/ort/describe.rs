//! Turns onnxruntime's errors into a node and a sentence.
//!
//! Pure. Its texts name the node in one of two ways, and the files of its own sources, which say nothing to users.

use crate::engine::{Failure, Kind};

pub(super) use crate::engine::failure::one_line;

/// The node and the cause in an error.
pub(super) fn failure<R>(error: &ort::Error<R>) -> Failure {
    of_text(error.message())
}

fn of_text(text: &str) -> Failure {
    let node = between(text, "Name:'", "'").or_else(|| between(text, "In Node, (\"", "\""));
    let reason = text
        .rsplit_once("Status Message: ")
        .map_or(text, |(_, cause)| cause);
    let is_source = |word: &&str| word.contains(".cc:") || word.contains(".h:");
    let words: Vec<&str> = reason
        .split_whitespace()
        .filter(|w| !is_source(w))
        .collect();
    let node = node.filter(|node| !node.is_empty()).unwrap_or("(graph)");
    Failure::new(node, one_line(&words.join(" "))).of(Kind::Engine)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(start)?;
    after.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_and_cause_come_out_of_both_kinds_of_texts() {
        let run = "Non-zero status code returned while running Gather node. Name:'embed' Status Message: \
                   /onnxruntime_src/core/gather.cc:10 indices element out of data bounds, idx=14";
        assert_eq!(
            of_text(run).to_string(),
            "node embed: indices element out of data bounds, idx=14"
        );
        let load = "This is an invalid model. In Node, (\"roi\", RoiAlignX, \"\", -1) : (\"x\": ) -> , Error No Op registered";
        assert_eq!(of_text(load).node, "roi");
        assert_eq!(of_text("bad").to_string(), "node (graph): bad");
    }
}
