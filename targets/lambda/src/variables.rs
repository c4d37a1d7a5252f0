//! The gateway's variables: the environment, with a bundled file in place of its path, and secrets in place of their names.
//!
//! A value `ssm:/path/of/a/parameter` is fetched from the Parameter Store when the process starts, through the extension of
//! AWS that listens on loopback, so that no secret stands in the function's settings.

use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use lambda_runtime_api_client::{PooledClient, body::Body};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// Reads them.
///
/// # Errors
/// All that cannot be read; then nothing may be served, for a name is not to be taken for the secret itself.
pub(crate) async fn read() -> Result<Vec<(String, String)>, Vec<String>> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut variables: Vec<_> = environment.collect();
    let port = lookup(&variables, "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT").unwrap_or("2773").to_owned();
    let token = lookup(&variables, "AWS_SESSION_TOKEN").unwrap_or_default().to_owned();
    let mut errors = Vec::new();
    for (name, value) in &mut variables {
        let read = if let Some(parameter) = value.strip_prefix("ssm:") {
            fetch(&port, &token, parameter).await.map_err(|error| {
                format!("{name}: `{parameter}` cannot be read from the Parameter Store: {error}")
            })
        } else if name == "GATEWAY_CONFIG" && is_path(value) {
            std::fs::read_to_string(&*value).map_err(|error| {
                format!(
                    "{name}: `{value}`: {error}; write the path of a bundled file, or the document itself"
                )
            })
        } else {
            continue;
        };
        match read {
            Ok(text) => *value = text,
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(variables) } else { Err(errors) }
}

fn lookup<'v>(variables: &'v [(String, String)], wanted: &str) -> Option<&'v str> {
    variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// A document has several lines, an equals sign or a brace; a path to one has none of these.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(['=', '{', '[', '\n'])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

async fn fetch(port: &str, token: &str, parameter: &str) -> Result<String, String> {
    let endpoint = format!("http://127.0.0.1:{port}").parse();
    let endpoint =
        endpoint.map_err(|_| format!("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT=`{port}`: write a port"))?;
    let name = utf8_percent_encode(parameter, NON_ALPHANUMERIC);
    let mut token = HeaderValue::try_from(token).map_err(|_| "AWS_SESSION_TOKEN is no field value")?;
    token.set_sensitive(true);
    let request = Request::get(format!("/systemsmanager/parameters/get?name={name}&withDecryption=true"))
        .header("x-aws-parameters-secrets-token", token)
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let missing = |error| format!("{error}; add the layer of the Parameters and Secrets extension");
    let answer =
        PooledClient::builder().with_endpoint(endpoint).build().call(request).await.map_err(missing)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!(
            "the extension answered {status}; the function's role needs ssm:GetParameter on it"
        ));
    }
    let found: Found = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(found.parameter.value)
}
