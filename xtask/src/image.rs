//! `cargo xtask image`: the container images, built and written without Docker.
//!
//! One static binary per image in an otherwise nearly empty root; the server's variant with onnxruntime
//! alone is linked dynamically. Equal sources give equal digests, so that what has not changed is
//! neither written nor imported again.

mod build;
mod elf;
mod node;
mod oci;
mod onnxruntime;
mod registry;
mod root;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;

use crate::cluster::{self, Cluster};
use crate::image::build::Linking;
use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::step::{self, Step};

/// The largest root that an image may have: what a node has to fetch before a pod can start.
const MAX_ROOT_BYTES: usize = 45_000_000;

/// The same with onnxruntime, which takes 35 MB.
const MAX_ROOT_BYTES_WITH_LIBRARIES: usize = 95_000_000;

/// The part of cargo's target folder for release binaries.
const FOLDER: &str = "image";
/// The same for the one that is linked in another way: other flags would build everything anew.
const FOLDER_OF_ONNXRUNTIME: &str = "image-ort";

/// Options of `cargo xtask image`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Also write them as OCI archives (one tar each) to this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Also push them to this registry (such as registry.example/me), with the credentials of `docker login`
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// Also build the server's variant with onnxruntime, whose tag ends in -ort
    #[arg(long)]
    ort: bool,
}

/// One image: what it is called and what is in it.
#[derive(Clone, Copy)]
pub(crate) struct Image {
    /// The package whose binary of the same name is the entry point.
    package: &'static str,
    /// The binary.
    binary: &'static str,
    /// Name and tag on a node without a registry.
    pub(crate) name: &'static str,
    /// One line about it.
    title: &'static str,
    /// The name of its archive, without `.tar`.
    archive: &'static str,
    /// Variables that its process gets.
    environment: &'static [&'static str],
}

/// rten has a pool of threads for runs without one of their own. There are none such here, but it makes the pool all the
/// same, with a thread for each core of the machine.
const SERVERS_ENVIRONMENT: [&str; 1] = ["RTEN_NUM_THREADS=1"];

/// What installs aimass.
pub(crate) const IMAGES: [Image; 3] = [
    Image {
        package: "aimass-operator",
        binary: "aimass-operator",
        name: "aimass.test/aimass-operator:dev",
        title: "Turns ModelDeployments into serving pods",
        archive: "aimass-operator",
        environment: &[],
    },
    Image {
        package: "aimass-gateway",
        binary: "aimass-gateway",
        name: "aimass.test/aimass-gateway:dev",
        title: "The only door for callers",
        archive: "aimass-gateway",
        environment: &[],
    },
    Image {
        package: "aimass-server",
        binary: "aimass-server",
        name: "aimass.test/aimass-server:dev",
        title: "Serves one model",
        archive: "aimass-server",
        environment: &SERVERS_ENVIRONMENT,
    },
];

/// The package of the command line, which is handed out without an image.
const TOOL: &str = "aimass-cli";

/// The server with onnxruntime.
const ONNXRUNTIME: Image = Image {
    package: "aimass-server",
    binary: "aimass-server",
    name: "aimass.test/aimass-server:dev-ort",
    title: "Serves one model, by onnxruntime if that is asked for",
    archive: "aimass-server-ort",
    environment: &SERVERS_ENVIRONMENT,
};

/// What the project's own cluster needs before its first pod.
const PAUSE: Image = Image {
    package: "aimass-pause",
    binary: "pause",
    name: cluster::PAUSE_IMAGE,
    title: "Holds a pod's namespaces",
    archive: "pause",
    environment: &[],
};

/// An image on the disk.
pub(crate) struct Built {
    /// Which one.
    pub(crate) image: Image,
    /// The OCI archive.
    pub(crate) archive: PathBuf,
    /// `sha256:…` of its manifest.
    pub(crate) digest: String,
}

impl Built {
    /// A name that another image never has. A node and a Deployment notice a new image by its name
    /// only.
    fn unique_name(&self) -> String {
        let digits = self.digest.trim_start_matches("sha256:").chars().take(12);
        format!("{}-{}", self.image.name, digits.collect::<String>())
    }
}

/// Runs the command.
///
/// # Errors
/// If an image cannot be built, or is too large.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let mut built = build(places)?;
    if args.ort {
        built.push(with_onnxruntime(places)?);
    }
    if let Some(folder) = &args.output {
        copy(&built, folder)?;
    }
    if let Some(registry) = &args.push {
        for name in push(places, &built, registry)? {
            step::say(&name);
        }
    }
    if Cluster::is_there(places) {
        import(places, &built)?;
    } else {
        step::say("No cluster runs here: the images are not loaded into a node.");
    }
    for Built {
        image,
        archive,
        digest,
    } in &built
    {
        step::say(&format!("{}  {digest}  {}", image.name, archive.display()));
    }
    Ok(())
}

/// Builds the images of aimass.
///
/// # Errors
/// As [`run`].
pub(crate) fn build(places: &Places) -> Result<Vec<Built>> {
    packages::ensure(places, &[Purpose::Images])?;
    if !places.target().join(FOLDER).exists() {
        step::say("The first release build takes about 8 minutes on two cores.");
    }
    let binaries = ours(places)?;
    IMAGES
        .into_iter()
        .map(|image| write(places, image, &binaries))
        .collect()
}

/// The command line for people, as static as what is in the images.
///
/// # Errors
/// As [`run`].
pub(crate) fn tool(places: &Places) -> Result<PathBuf> {
    Ok(ours(places)?.join("aimass"))
}

/// Builds all that is handed out, at once: each selection of packages has its own features, and would compile what they share
/// anew.
fn ours(places: &Places) -> Result<PathBuf> {
    let mut packages = vec![TOOL];
    packages.extend(IMAGES.iter().map(|image| image.package));
    build::run(places, FOLDER, &packages, Linking::Static)
}

/// Builds the server's variant with onnxruntime.
fn with_onnxruntime(places: &Places) -> Result<Built> {
    let linking = Linking::Dynamic("aimass-server/ort");
    let packages = [ONNXRUNTIME.package];
    let binaries = build::run(places, FOLDER_OF_ONNXRUNTIME, &packages, linking)?;
    let path = binaries.join(ONNXRUNTIME.binary);
    let binary = read(&path)?;
    if elf::is_static(&binary) {
        bail!(
            "{} is a static binary: it could load no library",
            path.display()
        );
    }
    let mut entries = root::entries(ONNXRUNTIME.binary, binary)?;
    entries.extend(onnxruntime::entries(places)?);
    pack(places, ONNXRUNTIME, entries, MAX_ROOT_BYTES_WITH_LIBRARIES)
}

/// Builds the binaries of `packages` as those of the images are built; gives their folder.
///
/// # Errors
/// If cargo fails; the error names its log.
pub(crate) fn binaries(places: &Places, packages: &[&str]) -> Result<PathBuf> {
    packages::ensure(places, &[Purpose::Images])?;
    build::run(places, FOLDER, packages, Linking::Static)
}

/// Loads images into the node of the running cluster; tells which of them it did not have.
///
/// # Errors
/// If containerd refuses.
pub(crate) fn import<'a>(places: &Places, built: &'a [Built]) -> Result<Vec<&'a Built>> {
    let mut new = Vec::new();
    let there = node::digests(places)?;
    for one in built {
        if there.get(one.image.name) == Some(&one.digest) {
            continue;
        }
        let step = Step::begin(format!("load {} into the node", one.image.name), None);
        node::import(places, &one.archive)?;
        step.done("");
        new.push(one);
    }
    Ok(new)
}

/// As [`import`]; gives the images' unique names, under which the node has them too.
///
/// # Errors
/// As [`import`].
pub(crate) fn import_unique(places: &Places, built: &[Built]) -> Result<Vec<String>> {
    import(places, built)?;
    for one in built {
        node::tag(places, one.image.name, &one.unique_name())?;
    }
    Ok(built.iter().map(Built::unique_name).collect())
}

/// Pushes images to a registry under their unique names; gives those.
///
/// # Errors
/// If the registry refuses.
pub(crate) fn push(places: &Places, built: &[Built], registry: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for one in built {
        let unique = one.unique_name();
        let (_, name) = unique
            .split_once('/')
            .context("an image's name has a host")?;
        let name = format!("{}/{name}", registry.trim_end_matches('/'));
        registry::push(places, &one.archive, &name)?;
        names.push(name);
    }
    Ok(names)
}

/// Builds what holds a pod's namespaces. Called by `cluster up`.
///
/// # Errors
/// As [`run`].
pub(crate) fn pause(places: &Places) -> Result<Built> {
    packages::ensure(places, &[Purpose::Images])?;
    let binaries = build::run(places, "pause", &[PAUSE.package], Linking::Static)?;
    write(places, PAUSE, &binaries)
}

fn write(places: &Places, image: Image, binaries: &Path) -> Result<Built> {
    let path = binaries.join(image.binary);
    let binary = read(&path)?;
    if !elf::is_static(&binary) {
        bail!(
            "{} is not a static binary: it would find no loader in its image",
            path.display()
        );
    }
    let entries = root::entries(image.binary, binary)?;
    pack(places, image, entries, MAX_ROOT_BYTES)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

fn pack(
    places: &Places,
    image: Image,
    entries: Vec<oci::Entry>,
    max_bytes: usize,
) -> Result<Built> {
    let size: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    if size > max_bytes {
        bail!(
            "{} has {size} bytes, at most {max_bytes} are allowed",
            image.name
        );
    }
    let archive = places
        .target()
        .join("image/archives")
        .join(format!("{}.tar", image.archive));
    let about = oci::About {
        name: image.name,
        title: image.title,
        environment: image.environment,
        version: env!("CARGO_PKG_VERSION"),
        entry_point: format!("/{}", image.binary),
    };
    let digest = oci::write(&archive, &about, entries)?;
    Ok(Built {
        image,
        archive,
        digest,
    })
}

fn copy(built: &[Built], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    for one in built {
        let target = folder.join(format!("{}.tar", one.image.archive));
        std::fs::copy(&one.archive, &target)
            .with_context(|| format!("failed to write {}", target.display()))?;
    }
    Ok(())
}
