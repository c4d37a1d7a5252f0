//! What tests and benches need from the machine: Debian packages, and Python and Node environments in `target/`.

use std::{fs, path::PathBuf};

use crate::run::{Error, command, has, must, output, root, succeeds};

/// A program and the Debian package that brings it.
pub(crate) type Need = (&'static str, &'static str);

/// What the tests start.
pub(crate) const TESTS: &[Need] = &[
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("promtool", "prometheus"),
    ("chromium", "chromium"),
    ("pg_ctlcluster", "postgresql"),
    ("nginx", "nginx"),
];

/// Installs the packages whose programs are missing.
pub(crate) fn packages(needs: &[Need]) -> Result<(), Error> {
    let missing: Vec<&str> =
        needs.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    install(&missing)
}

/// Installs Debian packages, as root or through sudo.
pub(crate) fn install(packages: &[&str]) -> Result<(), Error> {
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    let by_hand = format!("run `apt-get install {wanted}` and try again");
    if !has("apt-get") {
        return Err(format!("missing: {wanted}; this is no Debian or Ubuntu, install them by hand"));
    }
    let is_root = output(command("id", &["-u"])?)? == "0";
    if !is_root && !succeeds(command("sudo", &["-n", "true"])?) {
        return Err(format!("missing: {wanted}; as root, {by_hand}"));
    }
    let apt = |arguments: &[&str]| {
        let mut words = if is_root { vec![] } else { vec!["sudo", "-n"] };
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
        words.extend(arguments);
        let (program, rest) = words.split_first().ok_or("no command")?;
        must(command(program, rest)?)
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments).map_err(|error| format!("{error}; {by_hand}"))
}

/// A virtual environment with the origin's pinned packages.
pub(crate) fn python() -> Result<(), Error> {
    venv("target/venv", "tests/origin/requirements.txt", &[])
}

/// A virtual environment with pinned packages, made anew when the pins change.
pub(crate) fn venv(place: &str, pins: &str, options: &[&str]) -> Result<(), Error> {
    let root = root()?;
    let path = root.join(pins);
    let wanted =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let stamp = root.join(place).join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    if !has("python3") || !succeeds(command("python3", &["-m", "ensurepip", "--version"])?) {
        install(&["python3", "python3-venv"])?;
    }
    must(command("python3", &["-m", "venv", "--clear", place])?)?;
    let python = format!("{place}/bin/python");
    let mut pip = command(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])?;
    pip.args(options).args(["-r", pins]);
    must(pip)?;
    fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

/// The pinned npm packages in `target/node`, made anew when the pins change. Their install scripts do not run: the
/// binaries among them come as packages of their own.
pub(crate) fn node() -> Result<(), Error> {
    let root = root()?;
    let (pins, place) = (root.join("tests/node"), root.join("target/node"));
    let read = |name: &str| {
        let path = pins.join(name);
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let files = ["package.json", "package-lock.json", ".npmrc"]
        .map(|name| read(name).map(|text| (name, text)))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let wanted: String = files.iter().map(|(_, text)| text.as_str()).collect();
    let stamp = place.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    packages(&[("node", "nodejs"), ("npm", "npm")])?;
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
    for (name, text) in &files {
        write(place.join(name), text)?;
    }
    must(command("npm", &["ci", "--ignore-scripts", "--prefix", "target/node", "--loglevel", "error"])?)?;
    write(stamp, &wanted)
}
