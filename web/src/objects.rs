//! Lists in memory; errors in those that came as objects name the utterance by its own id.

use lorb::nbest::{HeldLists, JsonLines, NbestError, Utterance};
use serde::Deserialize;

use crate::error::WebError;

/// All lists of a reader, within the limit for lists that are in memory together. `named` converts its errors.
///
/// # Errors
/// The first error of the reader, and `BadInputError` beyond the limit.
pub fn all(
    lists: impl Iterator<Item = Result<Utterance, NbestError>>,
    named: impl Fn(NbestError) -> WebError,
) -> Result<Vec<Utterance>, WebError> {
    let mut held = HeldLists::new();
    for list in lists {
        held.push(list.map_err(&named)?).map_err(WebError::input)?;
    }
    Ok(held.into_lists())
}

/// Reads objects, each the JSON text of one utterance; `what` names the argument that held them.
///
/// # Errors
/// `BadInputError` names the utterance.
pub fn read_objects(objects: &[String], what: &str) -> Result<Vec<Utterance>, WebError> {
    // One line per object, so that the reader of JSON lines validates it.
    let lines = objects.join("\n");
    all(JsonLines::new(lines.as_bytes(), what), |error| named(error, objects, what))
}

fn named(error: NbestError, objects: &[String], what: &str) -> WebError {
    let NbestError::Line { line, problem, .. } = &error else { return error.into() };
    let at = usize::try_from(line - 1).unwrap_or(usize::MAX);
    let Some(id) = objects.get(at).and_then(|object| id_of(object)) else { return error.into() };
    let hint = problem.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    WebError::input(format_args!("{what}: utterance {id:?}: {problem}{hint}"))
}

/// The id of an object that may otherwise be invalid.
fn id_of(object: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    serde_json::from_str(object).ok().map(|Named { id }| id).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(objects: &[&str]) -> String {
        let objects: Vec<String> = objects.iter().map(|&object| object.to_owned()).collect();
        read_objects(&objects, "dev").unwrap_err().message
    }

    #[test]
    fn errors_name_the_utterance_by_its_own_id() {
        let good = r#"{"id":"call-1","nbest":[{"text":"a"}]}"#;
        let empty = r#"{"id":"call-2","nbest":[]}"#;
        assert!(message(&[good, empty]).starts_with(r#"dev: utterance "call-2": "#));
        let many = vec![r#"{"text":"a"}"#; 201].join(",");
        let many = format!(r#"{{"id":"call-3","nbest":[{many}]}}"#);
        let text = message(&[&many]);
        assert!(text.contains("call-3") && text.contains("201"), "{text}");
    }

    #[test]
    fn an_object_without_an_id_is_named_by_its_place() {
        let good = r#"{"id":"call-1","nbest":[{"text":"a"}]}"#;
        assert!(message(&[good, r#"{"nbest":[{"text":"a"}]}"#]).starts_with("dev:2: "));
    }

    #[test]
    fn unknown_keys_and_scores_of_the_recogniser_stay() {
        let object = r#"{"id":"u","nbest":[{"text":"a","score":-1,"lm":-2,"tag":7}],"site":"x"}"#;
        let lists = read_objects(&[object.to_owned()], "lists").unwrap();
        assert_eq!(lists[0].hypotheses[0].parts.get("lm"), Some(-2.0));
        assert_eq!(lists[0].hypotheses[0].extra.get("tag"), Some("7"));
        assert_eq!(lists[0].extra.get("site"), Some("\"x\""));
    }
}
