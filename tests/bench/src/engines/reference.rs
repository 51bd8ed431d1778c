//! onnxruntime in a Python of its own: asked case by case, so that it alternates with our engines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// The process; ended when dropped.
pub(super) struct Reference {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    /// Starts it. It inherits the core of the thread that calls this.
    pub(super) fn start(python: &Path, script: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", python.display()))?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let questions = questions.context("the child has an input")?;
        let answers = BufReader::new(answers.context("the child has an output")?);
        Ok(Self {
            child,
            questions,
            answers,
        })
    }

    /// Median seconds of one run of the case, over `duration`.
    pub(super) fn time(&mut self, case: &Path, duration: Duration) -> anyhow::Result<f64> {
        let question = json!({"case": case, "seconds": duration.as_secs_f64()});
        writeln!(self.questions, "{question}").context("onnxruntime's process ended")?;
        self.questions.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value =
            serde_json::from_str(&line).context("onnxruntime's process ended; see above")?;
        match answer.get("median").and_then(Value::as_f64) {
            Some(seconds) => Ok(seconds),
            None => bail!("onnxruntime: {answer}"),
        }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // Over already is as good as ended now.
        let _already_over = self.child.kill();
        let _status = self.child.wait();
    }
}
