//! The AWS Lambda function: built as it is deployed, served here behind `cargo lambda watch`, which emulates a function URL
//! and the Lambda runtime API.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    run::{Error, cargo, command, copy, must, root},
    setup,
};

/// Builds the function's program, and says how large it is.
pub(crate) fn build() -> Result<(), Error> {
    tools()?;
    eprintln!("xtask: building the function as it is deployed; the first time takes some minutes");
    must(cargo(&["build", "--locked", "--profile", "function", "--package", "acip-lambda"])?)?;
    let program = root()?.join(PROGRAM);
    let bytes = fs::metadata(&program).map_err(|error| format!("no {}: {error}", program.display()))?.len();
    eprintln!("xtask: {PROGRAM}: {} KiB", bytes >> 10);
    if bytes > MAX_BYTES {
        return Err(format!("the function's program has {bytes} bytes; it is to have at most {MAX_BYTES}"));
    }
    Ok(())
}

/// Builds the program with the example plugin, quickly: it is for its cases alone. Gives its place, and the variable by which what
/// serves it takes that.
pub(crate) fn example() -> Result<(&'static str, PathBuf), Error> {
    let mut build = cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-lambda"])?;
    build.args(super::EXAMPLE);
    must(build)?;
    let place = super::examples()?.join("bootstrap");
    copy(&root()?.join("target/e2e/bootstrap"), &place)?;
    Ok(("ACIP_LAMBDA_BOOTSTRAP", place))
}

/// Builds what serves it here.
pub(crate) fn host() -> Result<(), Error> {
    must(cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-lambda-host"])?)
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

/// What a run of everything asks behind `cargo lambda watch`: that requests pass, are refused, stream, and are too large. All that
/// passes there is a run of its own.
pub(super) const BEHIND_WATCH: &[&str] = &[
    "credentials::a_credential_comes_in_three_fields_and_they_must_agree",
    "errors::an_error_has_a_code_in_either_shape",
    "lambda::a_bad_configuration_is_told_to_the_operator_alone",
    "lambda::a_request_past_the_platforms_limit_hears_why",
    "lambda::a_stream_begins_before_the_origin_has_finished",
    "lambda::events::what_an_api_cannot_take_whole_is_refused",
    "lambda::events::what_breaks_off_is_no_answer_of_an_api",
    "limits::a_client_is_told_where_it_stands",
    "streams::events_arrive_when_they_happen",
];

/// Tests that do not pass behind `cargo lambda watch`, for a reason of its own. `docs/targets.md` has a row for each.
pub(super) const NOT_BEHIND_WATCH: &[(&str, &str)] = &[
    ("cache_stale::a_body_that_broke_off_is_not_stored", BREAKS),
    ("headers::a_request_has_an_id", FIELDS),
    ("headers::the_origin_gets_what_the_client_sent_without_what_was_for_the_connection", FIELDS),
    ("lambda::events::every_caller_is_heard_alike", EVENTS),
    ("lambda::events::what_is_no_request_is_answered_and_logged", EVENTS),
    ("limits::a_burst_gets_exactly_the_limit_from_redis", QUEUE),
    ("limits::two_gateways_share_one_limit", QUEUE),
    ("one_command::no_command_where_nothing_is_asked", TURNS),
    ("one_command::one_command_before_the_verdict", TURNS),
    ("streams::what_the_origin_cuts_is_an_error_at_the_client", BREAKS),
];

const BREAKS: &str = "it ends a response like a whole one although the trailers tell of an error";
const EVENTS: &str = "it reads the beginning of a stream itself, also for who hands it an event as it is";
const FIELDS: &str = "of a field that is sent twice it passes on one line";
const QUEUE: &str = "it stands still for good when more than 100 requests wait";
const TURNS: &str =
    "the process that has rested longest is next, and looks after its connection to Redis first";

/// Its folder is not `target/lambda`: there cargo-lambda keeps a folder for each program.
const PROGRAM: &str = "target/function/bootstrap";

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

#[cfg(test)]
mod tests {
    #[test]
    fn the_documentation_has_a_row_for_each() {
        let page = include_str!("../../../docs/targets.md");
        for (test, reason) in super::NOT_BEHIND_WATCH {
            let row = format!("| `{test}` | {reason} |\n");
            assert!(page.contains(&row), "docs/targets.md lacks {row}");
        }
    }

    /// A name that no test has would be passed over in silence.
    #[test]
    fn what_is_asked_behind_it_is_there_and_passes() {
        let folder = crate::run::root().expect("the repository").join("tests/tests");
        for test in super::BEHIND_WATCH {
            let (suite, name) = test.rsplit_once("::").expect("a suite");
            let place = folder.join(suite.replace("::", "/"));
            let text = std::fs::read_to_string(place.with_extension("rs"))
                .or_else(|_| std::fs::read_to_string(place.join("mod.rs")))
                .unwrap_or_else(|error| panic!("{test}: {error}"));
            assert!(text.contains(&format!("async fn {name}()")), "there is no `{test}`");
            assert!(!super::NOT_BEHIND_WATCH.iter().any(|(not, _)| not == test), "`{test}` does not pass");
        }
    }
}
