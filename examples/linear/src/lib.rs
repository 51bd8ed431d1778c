//! Learns y = 2x by stochastic gradient descent and writes the ONNX file itself.
//!
//! Pure and without dependencies: the same bytes come out on every run and every machine, because
//! nothing but IEEE 754 additions and multiplications decides them. Called by `main.rs`, which
//! writes the file; the tests hold `linear.onnx`, as committed, to it.
//!
//! | module | what |
//! | --- | --- |
//! | [`descent`] | the training |
//! | [`onnx`] | the model as a file |

pub mod descent;
pub mod onnx;

/// What the example learns from: y = 2x at three points.
pub const POINTS: [descent::Point; 3] = [
    descent::Point { x: 1.0, y: 2.0 },
    descent::Point { x: 2.0, y: 4.0 },
    descent::Point { x: 3.0, y: 6.0 },
];

/// Trains on [`POINTS`] and returns the line with its ONNX file.
#[must_use]
pub fn train() -> (descent::Line, Vec<u8>) {
    let line = descent::learn(
        &POINTS,
        &descent::Settings {
            rate: 0.1,
            epochs: 1000,
            seed: 0,
        },
    );
    let file = onnx::file(&line);
    (line, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_converges_to_two_x() {
        let (line, _) = train();
        assert!((line.weight - 2.0).abs() < 1e-6, "weight {}", line.weight);
        assert!(line.bias.abs() < 1e-6, "bias {}", line.bias);
    }

    #[test]
    fn the_committed_file_is_what_training_writes() {
        // Cargo runs a test in the folder of its crate. A path from when it was built may be one of another checkout.
        let committed = std::fs::read("linear.onnx").unwrap_or_default();
        let (_, trained) = train();
        assert!(
            committed == trained,
            "examples/linear/linear.onnx is stale: run `cargo run -p aimass-linear -- \
             examples/linear/linear.onnx` and `cargo xtask codegen`, and commit"
        );
    }
}
