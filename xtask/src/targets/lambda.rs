//! The AWS Lambda function: built as it is deployed, served here behind `cargo lambda watch`, which emulates a function URL
//! and the Lambda runtime API.

use std::{fs, process::Command};

use crate::{
    run::{Error, cargo, command, must, root},
    setup,
};

/// Builds the function's program, says how large it is, and builds what serves it here.
pub(crate) fn build() -> Result<(), Error> {
    tools()?;
    eprintln!("xtask: building the function as it is deployed; the first time takes some minutes");
    must(cargo(&["build", "--locked", "--profile", "lambda", "--package", "acip-lambda"])?)?;
    must(cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-lambda-host"])?)?;
    let program = root()?.join("target/lambda/bootstrap");
    let bytes = fs::metadata(&program).map_err(|error| format!("no {}: {error}", program.display()))?.len();
    eprintln!("xtask: target/lambda/bootstrap: {} KiB", bytes >> 10);
    if bytes > MAX_BYTES {
        return Err(format!("the function's program has {bytes} bytes; it is to have at most {MAX_BYTES}"));
    }
    Ok(())
}

/// Serves it.
pub(crate) fn launcher() -> Result<Command, Error> {
    command("target/e2e/acip-lambda-host", &[])
}

/// Checks what `infra/aws` deploys: the SAM template against the schemas of its resources, the Terraform module as HCL.
pub(crate) fn templates() -> Result<(), Error> {
    tools()?;
    must(command("target/venv-lambda/bin/cfn-lint", &["infra/aws/template.yaml"])?)?;
    let folder = root()?.join("infra/aws/terraform");
    let files =
        fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tf"));
    if paths.is_empty() {
        return Err(format!("no Terraform files in {}", folder.display()));
    }
    let mut parse = command("target/venv-lambda/bin/python", &["-c", PARSE])?;
    parse.args(paths);
    must(parse)
}

/// The emulator and the checkers of templates: pinned Python packages, which hold programs.
pub(crate) fn tools() -> Result<(), Error> {
    setup::venv("target/venv-lambda", "tests/lambda/requirements.txt", &["--no-deps"])
}

/// Bytes of the stripped program. Lambda loads all of it before the first request.
const MAX_BYTES: u64 = 8 << 20;

/// Parses the files that it is given, and says which one is no HCL.
const PARSE: &str = "
import sys, hcl2
for path in sys.argv[1:]:
    try:
        with open(path) as file: hcl2.load(file)
    except Exception as error: sys.exit(f'{path}: {error}')
";
