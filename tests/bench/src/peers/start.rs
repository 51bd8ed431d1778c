//! How each peer is started: its command, and the folder of files that it wants.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::json;

/// Makes the command that starts a peer.
pub(super) type Start = fn(&Site<'_>) -> anyhow::Result<Command>;

/// Where a peer is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    /// The interpreter of its environment.
    pub(super) python: &'a Path,
    /// `tools/peers`
    pub(super) tools: &'a Path,
    /// The ONNX file.
    pub(super) model: &'a Path,
    /// For its own files; removed afterwards.
    pub(super) folder: &'a Path,
    /// Where it shall listen, on loopback.
    pub(super) port: u16,
}

/// KServe's SDK: a program of a few lines.
pub(super) fn kserve(site: &Site<'_>) -> anyhow::Result<Command> {
    let mut command = Command::new(site.python);
    command.arg(site.tools.join("kserve_server.py"));
    command.arg(site.port.to_string());
    command.env("AIMASS_PEER_MODEL", site.model);
    Ok(command)
}

/// MLServer: a folder with two settings files and the model's class.
pub(super) fn mlserver(site: &Site<'_>) -> anyhow::Result<Command> {
    let settings = json!({
        "host": "127.0.0.1",
        "http_port": site.port,
        "grpc_port": crate::process::free_port()?.port(),
        "metrics_endpoint": null,
        "parallel_workers": 0,
    });
    let model = json!({
        "name": "digits",
        "implementation": "model.OnnxModel",
        "parameters": {"uri": site.model},
    });
    let write = |name: &str, value: &serde_json::Value| {
        std::fs::write(site.folder.join(name), value.to_string())
    };
    write("settings.json", &settings)?;
    write("model-settings.json", &model)?;
    let class = site.tools.join("mlserver/model.py");
    std::fs::copy(class, site.folder.join("model.py"))?;
    let mut command = Command::new(site.python.with_file_name("mlserver"));
    command.arg("start").arg(site.folder);
    command.env("PYTHONPATH", site.folder);
    Ok(command)
}

/// Triton, whose server lies inside of a wheel with its Python backend alone.
pub(super) fn triton(site: &Site<'_>) -> anyhow::Result<Command> {
    let packages = packages(site.python)?;
    let server = packages.join("pytriton/tritonserver");
    let backend = site.folder.join("backends/python");
    copy_folder(&server.join("backends/python"), &backend)?;
    let stub = "triton_python_backend_stub";
    std::fs::copy(
        server.join("python_backend_stubs/3.11").join(stub),
        backend.join(stub),
    )
    .context("its wheel has no stub for Python 3.11")?;
    let repository = site.folder.join("models");
    copy_folder(&site.tools.join("triton"), &repository)?;
    let mut command = Command::new(server.join("bin/tritonserver"));
    command
        .arg(format!("--model-repository={}", repository.display()))
        .arg(format!(
            "--backend-directory={}",
            site.folder.join("backends").display()
        ))
        .arg(format!("--http-port={}", site.port))
        .arg("--http-address=127.0.0.1")
        .args(["--allow-grpc=false", "--allow-metrics=false"])
        .env("LD_LIBRARY_PATH", packages.join("nvidia_pytriton.libs"))
        .env("PYTHONHOME", base_prefix(site.python)?)
        .env("AIMASS_PEER_MODEL", site.model)
        .env("AIMASS_PEER_PACKAGES", &packages);
    Ok(command)
}

/// The folder of the packages of an environment.
fn packages(python: &Path) -> anyhow::Result<PathBuf> {
    let root = python.parent().and_then(Path::parent);
    let folder = root
        .context("an interpreter lies in bin/")?
        .join("lib/python3.11/site-packages");
    if !folder.is_dir() {
        bail!("{} is not an environment of Python 3.11", python.display());
    }
    Ok(folder)
}

/// Where the interpreter that an environment was made with has its library.
fn base_prefix(python: &Path) -> anyhow::Result<String> {
    let ask = ["-c", "import sys; print(sys.base_prefix)"];
    let output = Command::new(python).args(ask).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    let entries =
        std::fs::read_dir(from).with_context(|| format!("failed to list {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
