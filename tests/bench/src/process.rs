//! Processes under measurement: started, pinned to a core, watched for their memory, ended.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// A process that is ended and reaped when it is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `program` pinned to `core` (by `taskset`, of util-linux), its output thrown away.
    ///
    /// # Errors
    /// The program does not start.
    pub fn pinned(core: usize, program: &Path, arguments: &[String]) -> anyhow::Result<Self> {
        let child = Command::new("taskset")
            .arg("-c")
            .arg(core.to_string())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self(child))
    }

    /// Starts `program` with `KUBECONFIG` set, unpinned, its output thrown away.
    ///
    /// # Errors
    /// The program does not start.
    pub fn with_kubeconfig(
        program: &Path,
        arguments: &[String],
        kubeconfig: &Path,
    ) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self(child))
    }

    /// Starts what `command` describes pinned to `core`, its output in the file `log`.
    ///
    /// # Errors
    /// The program does not start, or the log cannot be written.
    pub fn logged(core: usize, command: &Command, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::create(log)
            .with_context(|| format!("failed to write {}", log.display()))?;
        let mut pinned = Command::new("taskset");
        pinned.arg("-c").arg(core.to_string());
        pinned.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        let child = pinned
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system lost it.
    pub fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Resident memory in MiB, from `/proc`.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        field_mib(self.0.id(), "VmRSS:")
    }

    /// How long it has run on a core so far, in user space and in the kernel for it. In steps of 10 ms.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        cpu_time(&stat).context("/proc shows no time of the process")
    }

    /// The most memory that it has ever held, in MiB.
    ///
    /// # Errors
    /// The process is gone.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        field_mib(self.0.id(), "VmHWM:")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Over already is as good as ended now.
        let _already_over = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A field of the process's status in MiB.
fn field_mib(pid: u32, name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .with_context(|| format!("/proc shows no {name}"))?;
    Ok(kib / 1024.0)
}

/// Time on a core, of a process's `stat`. Source: proc_pid_stat(5), fields 14 and 15; Linux counts them in hundredths of a
/// second for all programs.
fn cpu_time(stat: &str) -> Option<Duration> {
    // Its name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>().ok()?;
    (ticks.len() == 2).then(|| Duration::from_millis(ticks.iter().sum::<u64>().saturating_mul(10)))
}

/// A free port on loopback.
///
/// # Errors
/// Loopback has none.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until `GET path` answers 200; returns the time it took.
///
/// # Errors
/// It did not within `within`.
pub fn wait_for(address: SocketAddr, path: &str, within: Duration) -> anyhow::Result<Duration> {
    let start = Instant::now();
    while start.elapsed() < within {
        if answers_200(address, path) {
            return Ok(start.elapsed());
        }
        std::thread::park_timeout(Duration::from_micros(500));
    }
    bail!("{path} was not 200 within {within:?}")
}

/// As [`wait_for`], but gives up at once when `process` ends.
///
/// # Errors
/// It ended, or did not answer 200 within `within`.
pub fn wait_until_ready(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    within: Duration,
) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < within {
        if answers_200(address, path) {
            return Ok(());
        }
        if let Some(status) = process.ended()? {
            bail!("the server ended with {status} before it was ready");
        }
        std::thread::park_timeout(Duration::from_micros(500));
    }
    bail!("{path} was not 200 within {within:?}")
}

/// Keeps this process and the threads that it starts from now on to one core, so that the load does
/// not run where the server does. On a machine with one core there is nothing to choose.
///
/// # Errors
/// The system refuses.
pub fn pin_to(core: usize) -> anyhow::Result<()> {
    let available = std::thread::available_parallelism()?.get();
    if core >= available {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).context("failed to stay on one core")
}

fn answers_200(address: SocketAddr, path: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100))
    else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    let mut head = [0_u8; 12];
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head.ends_with(b"200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_on_a_core_is_what_user_space_and_kernel_took() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 120 0 0 0 250 50 0 0 20 0 1 0 100 1 2";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time("7 (a) S 1 7"), None);
        assert_eq!(cpu_time(""), None);
    }
}
