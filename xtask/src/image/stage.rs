//! What is in an image: one program, the libraries it is linked with, and the few files that those read.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{NAMES, Profile};
use crate::cargo::{cargo, executable};
use crate::shell;

/// Where distributions keep the certificates of public authorities: the first that is there. Debian's name is the one in
/// the image, since that is where rustls-native-certs looks first.
const PUBLIC_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Parts of glibc that our programs do not name but a PKCS#11 module built against an older one does. They must be of the
/// very glibc in the image, so no user could add them.
const GLIBC_STUBS: [&str; 4] = ["libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2"];

/// Builds the programs and fills `FOLDER/NAME` for each with the root directory of its image.
pub(super) fn fill(folder: &Path, profile: Profile) -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "images hold Linux programs: on another system a container engine is needed"
    );
    let programs = build(profile)?;
    for (name, program) in NAMES.iter().zip(programs) {
        let root = folder.join(name);
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("cannot empty {}", root.display()))?;
        }
        fill_root(&root, name, &program)?;
    }
    Ok(())
}

/// A hash of the names and contents of everything in a folder.
pub(super) fn digest(root: &Path) -> Result<String> {
    let mut command = shell::command("sh");
    command.current_dir(root);
    command.args(["-c", "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"]);
    let printed = String::from_utf8(shell::capture(&mut command)?)?;
    Ok(printed.split(' ').next().unwrap_or_default().to_owned())
}

fn build(profile: Profile) -> Result<Vec<PathBuf>> {
    let mut command = cargo(&["build", "--message-format=json-render-diagnostics"]);
    for name in NAMES {
        command.args(["--package", name, "--bin", name]);
    }
    command.args(["--profile", profile.name()]).stderr(std::process::Stdio::inherit());
    eprintln!("$ {}", shell::line(&command));
    let answer = command.output().context("cannot run cargo")?;
    ensure!(answer.status.success(), "the programs do not build ({})", answer.status);
    let messages = String::from_utf8(answer.stdout)?;
    NAMES.iter().map(|name| executable(&messages, name)).collect()
}

fn fill_root(root: &Path, name: &str, program: &Path) -> Result<()> {
    let inside = root.join("usr/bin").join(name);
    copy(program, &inside)?;
    shell::run(shell::command("strip").arg(&inside))?;
    for library in libraries(program)? {
        copy(&library, &root.join(library.strip_prefix("/")?))?;
    }
    let authorities = PUBLIC_AUTHORITIES.iter().map(Path::new).find(|path| path.is_file());
    let authorities =
        authorities.context("no certificates of public authorities; on Debian: ca-certificates")?;
    copy(authorities, &root.join("etc/ssl/certs/ca-certificates.crt"))?;
    write(root, "etc/passwd", "chancery:x:65532:65532::/nonexistent:/usr/sbin/nologin\n")?;
    write(root, "etc/group", "chancery:x:65532:\n")?;
    // Without it glibc asks DNS before /etc/hosts.
    write(root, "etc/nsswitch.conf", "hosts: files dns\n")
}

/// Everything that the loader maps, at the paths where it looks; symbolic links become the files they lead to.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let printed = String::from_utf8(shell::capture(shell::command("ldd").arg(program))?)?;
    let mut libraries: BTreeSet<PathBuf> = printed
        .lines()
        .flat_map(|line| line.split_whitespace().filter(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect();
    let libc = libraries.iter().find(|path| path.file_name().is_some_and(|name| name == "libc.so.6"));
    let libc = libc.with_context(|| format!("{} is not linked with glibc: {printed}", program.display()))?;
    let stubs: Vec<PathBuf> = GLIBC_STUBS.iter().map(|name| libc.with_file_name(name)).collect();
    libraries.extend(stubs.into_iter().filter(|path| path.is_file()));
    Ok(libraries)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("no folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    let executable = fs::metadata(from)?.permissions().mode() & 0o111 != 0;
    // What the builder's umask or the distribution's habits were must not show in the image.
    fs::set_permissions(to, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    Ok(())
}

fn write(root: &Path, name: &str, contents: &str) -> Result<()> {
    let path = root.join(name);
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))
}
