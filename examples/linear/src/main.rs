//! `cargo run -p aimass-linear -- OUT`: trains the reference example and writes its ONNX file.
//!
//! Touches standard output and the one file that it is told to write.

use std::process::ExitCode;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(out), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: aimass-linear OUT        OUT: the ONNX file to write");
        return ExitCode::from(64);
    };
    let (line, file) = aimass_linear::train();
    println!(
        "w = {:.9}, b = {:.9}, f(10) = {:.6}",
        line.weight,
        line.bias,
        line.at(10.0)
    );
    if let Err(error) = std::fs::write(&out, &file) {
        eprintln!("aimass-linear: cannot write {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    println!("{}: {} bytes", out.display(), file.len());
    ExitCode::SUCCESS
}
