//! What is said: requests to Kamailio's RPC and what its answers mean. No I/O.
//!
//! The answers are those of Kamailio 5.6.3: an unknown key, table or method is each an error of code 500, told apart by
//! its message.

use serde_json::{Value, json};

use super::Error;

/// The key of the flag.
const KEY: &str = "maint";

const GET: &str = "htable.get";
const SET: &str = "htable.sets";
const LIST: &str = "htable.listTables";

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    /// Its method.
    pub(super) method: &'static str,
    params: Value,
    htable: String,
}

/// How Kamailio has an htable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// Its table in the database; empty for none.
    pub(super) dbtable: String,
    /// Whether the table is written when Kamailio stops.
    pub(super) dbmode: i64,
}

impl Request {
    /// Asks for the flag.
    pub(super) fn get(htable: &str) -> Self {
        Self { method: GET, params: json!([htable, KEY]), htable: htable.into() }
    }

    /// Sets the flag.
    pub(super) fn set(htable: &str, on: bool) -> Self {
        let value = if on { "1" } else { "0" };
        Self { method: SET, params: json!([htable, KEY, value]), htable: htable.into() }
    }

    /// Asks for all htables.
    pub(super) fn list(htable: &str) -> Self {
        Self { method: LIST, params: json!([]), htable: htable.into() }
    }

    /// As it is sent.
    pub(super) fn to_bytes(&self, id: u32) -> Vec<u8> {
        json!({"jsonrpc": "2.0", "method": self.method, "params": self.params, "id": id}).to_string().into_bytes()
    }

    /// The result in `datagram`, if that is the answer to the request `id`. None: it answers another one.
    pub(super) fn result(&self, id: u32, datagram: &[u8]) -> Option<Result<Value, Error>> {
        let mut answer: Value = match serde_json::from_slice(datagram) {
            Ok(answer) => answer,
            Err(error) => return Some(Err(self.nonsense(error))),
        };
        if answer.get("id") != Some(&Value::from(id)) {
            return None;
        }
        if let Some(error) = answer.get("error") {
            return Some(Err(self.refused(error)));
        }
        Some(match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(self.nonsense("neither result nor error")),
        })
    }

    fn refused(&self, error: &Value) -> Error {
        // Cut: it goes into the log and into an alarm.
        let message: String = error["message"].as_str().unwrap_or("no message").chars().take(200).collect();
        match message.as_str() {
            "Method Not Found" => Error::NoMethod(self.method),
            "No such htable" => Error::NoHtable(self.htable.clone()),
            _ => Error::Refused { method: self.method, message },
        }
    }

    pub(super) fn nonsense(&self, problem: impl ToString) -> Error {
        Error::Nonsense { method: self.method, problem: problem.to_string() }
    }
}

/// Whether the flag is on for a script that compares `$sht(…)=="1"`: it is for the number 1 too. A missing key is off.
pub(super) fn flag(answer: Result<Value, Error>) -> Result<bool, Error> {
    match answer {
        Ok(result) => match &result["item"]["value"] {
            Value::String(text) => Ok(text == "1"),
            Value::Number(number) => Ok(number.as_i64() == Some(1)),
            _ => Err(Error::Nonsense { method: GET, problem: "no value in it".into() }),
        },
        Err(Error::Refused { message, .. }) if message.starts_with("Key name doesn't exist") => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the list of all htables says about one.
pub(super) fn definition(htable: &str, list: &Value) -> Result<Definition, Error> {
    let nonsense = |problem: &str| Error::Nonsense { method: LIST, problem: problem.into() };
    let tables = list.as_array().ok_or_else(|| nonsense("no list"))?;
    let table = tables.iter().find(|table| table["name"] == htable).ok_or_else(|| Error::NoHtable(htable.into()))?;
    let dbtable = table["dbtable"].as_str().ok_or_else(|| nonsense("no dbtable"))?;
    let dbmode = table["dbmode"].as_i64().ok_or_else(|| nonsense("no dbmode"))?;
    Ok(Definition { dbtable: dbtable.into(), dbmode })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{Definition, Request, definition, flag};

    #[test]
    fn a_request_is_as_kamailio_reads_it() {
        let request = String::from_utf8(Request::set("config", true).to_bytes(7)).unwrap();
        assert_eq!(request, r#"{"id":7,"jsonrpc":"2.0","method":"htable.sets","params":["config","maint","1"]}"#);
    }

    #[rstest]
    #[case::string(r#"{"result":{"item":{"name":"maint","value":"1","flags":2}},"id":7}"#, true)]
    #[case::number(r#"{"result":{"item":{"name":"maint","value":1,"flags":0}},"id":7}"#, true)]
    #[case::off(r#"{"result":{"item":{"name":"maint","value":"0","flags":2}},"id":7}"#, false)]
    #[case::other(r#"{"result":{"item":{"name":"maint","value":"01","flags":2}},"id":7}"#, false)]
    #[case::missing(r#"{"error":{"code":500,"message":"Key name doesn't exist in htable."},"id":7}"#, false)]
    fn the_flag_is_what_the_script_takes_it_for(#[case] answer: &str, #[case] on: bool) {
        let answer = Request::get("config").result(7, answer.as_bytes()).unwrap();
        assert_eq!(flag(answer).unwrap(), on);
    }

    #[rstest]
    #[case::no_json("hello", "does not speak")]
    #[case::nothing("", "does not speak")]
    #[case::half(r#"{"id":7,"result":{"#, "does not speak")]
    #[case::no_result(r#"{"id":7}"#, "neither result nor error")]
    #[case::empty_result(r#"{"id":7,"result":null}"#, "no value")]
    #[case::strange_result(r#"{"id":7,"result":[[]]}"#, "no value")]
    #[case::strange_value(r#"{"id":7,"result":{"item":{"value":{}}}}"#, "no value")]
    #[case::strange_error(r#"{"id":7,"error":7}"#, "no message")]
    #[case::no_table(r#"{"id":7,"error":{"code":500,"message":"No such htable"}}"#, "--kamailio-htable")]
    #[case::no_module(r#"{"id":7,"error":{"code":500,"message":"Method Not Found"}}"#, "htable.so")]
    #[case::other_error(r#"{"id":7,"error":{"code":500,"message":"Internal"}}"#, "refuses htable.get: Internal")]
    fn an_answer_of_no_use_is_an_error_that_says_why(#[case] answer: &str, #[case] text: &str) {
        let error = flag(Request::get("config").result(7, answer.as_bytes()).unwrap()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[rstest]
    #[case::another(r#"{"id":8,"result":1}"#)]
    #[case::text(r#"{"id":"7","result":1}"#)]
    #[case::none(r#"{"result":1}"#)]
    #[case::no_object("[7]")]
    fn an_answer_to_another_request_is_none_to_this_one(#[case] answer: &str) {
        assert!(Request::get("config").result(7, answer.as_bytes()).is_none());
    }

    #[test]
    fn a_long_error_is_cut() {
        let answer = json!({"id": 7, "error": {"message": "ä".repeat(30_000)}}).to_string();
        let error = Request::get("config").result(7, answer.as_bytes()).unwrap().unwrap_err();
        assert!(error.to_string().len() < 500);
    }

    #[test]
    fn a_table_is_found_by_its_name() {
        let list = json!([{"name": "a", "dbtable": "", "dbmode": 0}, {"name": "b", "dbtable": "t", "dbmode": 1}]);
        assert_eq!(definition("b", &list).unwrap(), Definition { dbtable: "t".into(), dbmode: 1 });
        assert!(definition("c", &list).unwrap_err().to_string().contains("no htable c"));
        assert!(definition("c", &json!({})).unwrap_err().to_string().contains("no list"));
        assert!(definition("a", &json!([{"name": "a"}])).unwrap_err().to_string().contains("no dbtable"));
    }
}
