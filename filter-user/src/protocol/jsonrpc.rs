//! JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>): the objects that carry requests and replies.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

use super::{Code, Error};

/// A request object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
pub struct Call<'a, P> {
    jsonrpc: Version,
    /// Id that the reply repeats; `None` for a notification, which gets no reply.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// Name of the method.
    pub method: Cow<'a, str>,
    /// Parameters by name.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub params: Option<P>,
}

/// A reply object.
#[derive(Debug, Serialize, Deserialize)]
pub struct Response {
    jsonrpc: Version,
    /// Id of the request; null if the request could not be read.
    pub id: Id,
    /// Result or error.
    #[serde(flatten)]
    pub payload: Payload,
}

/// The result or the error of a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// The method's reply.
    Result(Value),
    /// The reason why there is no reply.
    Error(Error),
}

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// Null: in a reply, the id of a request that could not be read.
    Null,
}

/// The member `jsonrpc`, which is always `"2.0"`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "&str")]
struct Version;

impl TryFrom<Value> for Version {
    type Error = &'static str;

    fn try_from(version: Value) -> Result<Self, &'static str> {
        if version == <&str>::from(Self) { Ok(Self) } else { Err("jsonrpc has to be \"2.0\"") }
    }
}

impl From<Version> for &str {
    fn from(Version: Version) -> Self {
        "2.0"
    }
}

impl<'a, P> Call<'a, P> {
    /// Creates a request with this id.
    pub fn new(id: u64, method: &'a str, params: P) -> Self {
        Self { jsonrpc: Version, id: Some(id.into()), method: method.into(), params: Some(params) }
    }
}

impl Call<'_, Value> {
    /// Parses a line.
    ///
    /// # Errors
    ///
    /// The reply to a line that is not a request.
    pub fn parse(line: &[u8]) -> Result<Self, Response> {
        let invalid =
            |id, message: &dyn ToString| Response::new(id, Err(Error::new(Code::INVALID_REQUEST, message.to_string())));
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| Response::new(Id::Null, Err(Error::new(Code::PARSE, error))))?;
        let Value::Object(object) = value else {
            let message = "a request is one JSON object; batches are not supported, send one object per line";
            return Err(invalid(Id::Null, &message));
        };
        // Read first, because the reply with an error repeats the id.
        let id = id(&object).map_err(|message| invalid(Id::Null, &message))?;
        serde_json::from_value(Value::Object(object)).map_err(|error| invalid(id, &error))
    }
}

fn id(call: &Map<String, Value>) -> Result<Id, &'static str> {
    let id = call.get("id").map_or(Ok(Id::Null), Id::deserialize);
    id.map_err(|serde_json::Error { .. }| "id has to be a string or a number")
}

impl Response {
    /// Creates the reply to the request `id`.
    pub fn new(id: Id, outcome: Result<Value, Error>) -> Self {
        let payload = match outcome {
            Ok(result) => Payload::Result(result),
            Err(error) => Payload::Error(error),
        };
        Self { jsonrpc: Version, id, payload }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

/// Deserializes a member that is present. Unlike an absent member, null is a value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
