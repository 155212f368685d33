//! Requests to Kamailio's RPC interface, and the meaning of its replies. No I/O.
//!
//! The replies are those of Kamailio 5.6.3. An unknown key, an unknown table and an unknown method are all errors with
//! the code 500, and only their messages differ.

use serde_json::{Value, json};

use super::Error;

/// Key of the flag in the htable.
const KEY: &str = "maint";

const GET: &str = "htable.get";
const SET: &str = "htable.sets";
const LIST: &str = "htable.listTables";

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    /// Method.
    pub(super) method: &'static str,
    params: Value,
    htable: String,
}

/// The definition of an htable in Kamailio's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// Database table; empty for none.
    pub(super) dbtable: String,
    /// 1 if Kamailio writes the table when it stops.
    pub(super) dbmode: i64,
}

impl Request {
    /// Creates a request for the flag.
    pub(super) fn get(htable: &str) -> Self {
        Self { method: GET, params: json!([htable, KEY]), htable: htable.into() }
    }

    /// Creates a request that sets the flag.
    pub(super) fn set(htable: &str, on: bool) -> Self {
        let value = if on { "1" } else { "0" };
        Self { method: SET, params: json!([htable, KEY, value]), htable: htable.into() }
    }

    /// Creates a request for the definitions of all htables.
    pub(super) fn list(htable: &str) -> Self {
        Self { method: LIST, params: json!([]), htable: htable.into() }
    }

    /// Returns the datagram.
    pub(super) fn to_bytes(&self, id: u32) -> Vec<u8> {
        json!({"jsonrpc": "2.0", "method": self.method, "params": self.params, "id": id}).to_string().into_bytes()
    }

    /// Parses a datagram, and returns its result; `None` if it is not the reply to the request `id`.
    pub(super) fn parse_reply(&self, id: u32, datagram: &[u8]) -> Option<Result<Value, Error>> {
        let mut reply: Value = match serde_json::from_slice(datagram) {
            Ok(reply) => reply,
            Err(error) => return Some(Err(self.invalid_reply(error))),
        };
        if reply.get("id") != Some(&Value::from(id)) {
            return None;
        }
        if let Some(error) = reply.get("error") {
            return Some(Err(self.rejected(error)));
        }
        Some(match reply.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(self.invalid_reply("neither result nor error")),
        })
    }

    fn rejected(&self, error: &Value) -> Error {
        // Truncated, because it goes into the log and into an alarm.
        let message: String = error["message"].as_str().unwrap_or("no message").chars().take(200).collect();
        match message.as_str() {
            "Method Not Found" => Error::NoMethod(self.method),
            "No such htable" => Error::NoHtable(self.htable.clone()),
            _ => Error::Rejected { method: self.method, message },
        }
    }

    /// Returns the error of a reply that is not one of `jsonrpcs`.
    pub(super) fn invalid_reply(&self, problem: impl ToString) -> Error {
        Error::InvalidReply { method: self.method, problem: problem.to_string() }
    }
}

/// Returns whether the flag is on for a script that compares `$sht(…)=="1"`. The number 1 is on too, and a missing key
/// is off.
pub(super) fn parse_flag(result: Result<Value, Error>) -> Result<bool, Error> {
    match result {
        Ok(result) => match result.pointer("/item/value") {
            Some(Value::String(text)) => Ok(text == "1"),
            Some(Value::Number(number)) => Ok(number.as_i64() == Some(1)),
            _ => Err(Error::InvalidReply { method: GET, problem: "no value in it".into() }),
        },
        Err(Error::Rejected { message, .. }) if message.starts_with("Key name doesn't exist") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Finds the definition of `htable` in the list of all htables.
pub(super) fn parse_definition(htable: &str, list: &Value) -> Result<Definition, Error> {
    let invalid = |problem: &str| Error::InvalidReply { method: LIST, problem: problem.into() };
    let tables = list.as_array().ok_or_else(|| invalid("no list"))?;
    let table = tables.iter().find(|table| table["name"] == htable).ok_or_else(|| Error::NoHtable(htable.into()))?;
    let dbtable = table["dbtable"].as_str().ok_or_else(|| invalid("no dbtable"))?;
    let dbmode = table["dbmode"].as_i64().ok_or_else(|| invalid("no dbmode"))?;
    Ok(Definition { dbtable: dbtable.into(), dbmode })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{Definition, Request, parse_definition, parse_flag};

    #[test]
    fn request_has_the_form_that_kamailio_reads() {
        let request = String::from_utf8(Request::set("config", true).to_bytes(7)).unwrap();
        assert_eq!(request, r#"{"id":7,"jsonrpc":"2.0","method":"htable.sets","params":["config","maint","1"]}"#);
    }

    #[rstest]
    #[case::string(r#"{"result":{"item":{"name":"maint","value":"1","flags":2}},"id":7}"#, true)]
    #[case::number(r#"{"result":{"item":{"name":"maint","value":1,"flags":0}},"id":7}"#, true)]
    #[case::off(r#"{"result":{"item":{"name":"maint","value":"0","flags":2}},"id":7}"#, false)]
    #[case::other(r#"{"result":{"item":{"name":"maint","value":"01","flags":2}},"id":7}"#, false)]
    #[case::missing(r#"{"error":{"code":500,"message":"Key name doesn't exist in htable."},"id":7}"#, false)]
    fn flag_is_on_if_kamailios_script_would_take_it_for_1(#[case] reply: &str, #[case] on: bool) {
        let reply = Request::get("config").parse_reply(7, reply.as_bytes()).unwrap();
        assert_eq!(parse_flag(reply).unwrap(), on);
    }

    #[rstest]
    #[case::no_json("hello", "is not one of jsonrpcs")]
    #[case::nothing("", "is not one of jsonrpcs")]
    #[case::half(r#"{"id":7,"result":{"#, "is not one of jsonrpcs")]
    #[case::no_result(r#"{"id":7}"#, "neither result nor error")]
    #[case::empty_result(r#"{"id":7,"result":null}"#, "no value")]
    #[case::strange_result(r#"{"id":7,"result":[[]]}"#, "no value")]
    #[case::strange_value(r#"{"id":7,"result":{"item":{"value":{}}}}"#, "no value")]
    #[case::strange_error(r#"{"id":7,"error":7}"#, "no message")]
    #[case::no_table(r#"{"id":7,"error":{"code":500,"message":"No such htable"}}"#, "--kamailio-htable")]
    #[case::no_module(r#"{"id":7,"error":{"code":500,"message":"Method Not Found"}}"#, "htable.so")]
    #[case::other_error(r#"{"id":7,"error":{"code":500,"message":"Internal"}}"#, "rejects htable.get: Internal")]
    fn unusable_reply_is_an_error_with_the_reason(#[case] reply: &str, #[case] text: &str) {
        let error =
            parse_flag(Request::get("config").parse_reply(7, reply.as_bytes()).unwrap()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[rstest]
    #[case::another(r#"{"id":8,"result":1}"#)]
    #[case::text(r#"{"id":"7","result":1}"#)]
    #[case::none(r#"{"result":1}"#)]
    #[case::no_object("[7]")]
    fn reply_to_another_request_is_skipped(#[case] reply: &str) {
        assert!(Request::get("config").parse_reply(7, reply.as_bytes()).is_none());
    }

    #[test]
    fn long_error_message_of_kamailio_is_truncated() {
        let reply = json!({"id": 7, "error": {"message": "ä".repeat(30_000)}}).to_string();
        let error = Request::get("config").parse_reply(7, reply.as_bytes()).unwrap().unwrap_err();
        assert!(error.to_string().len() < 500);
    }

    #[test]
    fn definition_of_an_htable_is_found_by_its_name() {
        let list = json!([{"name": "a", "dbtable": "", "dbmode": 0}, {"name": "b", "dbtable": "t", "dbmode": 1}]);
        assert_eq!(parse_definition("b", &list).unwrap(), Definition { dbtable: "t".into(), dbmode: 1 });
        assert!(parse_definition("c", &list).unwrap_err().to_string().contains("no htable c"));
        assert!(parse_definition("c", &json!({})).unwrap_err().to_string().contains("no list"));
        assert!(parse_definition("a", &json!([{"name": "a"}])).unwrap_err().to_string().contains("no dbtable"));
    }
}
