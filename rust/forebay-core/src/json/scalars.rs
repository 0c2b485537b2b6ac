use super::path_set::{end_of_number, end_of_space, quoted};
use super::string::JsonStr;

/// A string or a number of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    /// A string.
    Text(JsonStr<'a>),
    /// A number as it is written.
    Number(&'a [u8]),
}

/// Gives each string and number of a text that is known to be JSON, however deep it is, but for the names of members, as
/// long as `each` wants more. In a text that is not JSON it finds anything, but does not panic.
pub(crate) fn each_scalar<'a>(json: &'a [u8], mut each: impl FnMut(Scalar<'a>) -> bool) {
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let scalar = match byte {
            b'"' => {
                let Some((text, end)) = quoted(json, at) else { return };
                at = end_of_space(json, end);
                if json.get(at) == Some(&b':') {
                    continue;
                }
                Scalar::Text(text)
            }
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(json, at);
                let number = json.get(at..end).unwrap_or_default();
                at = end;
                Scalar::Number(number)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        if !each(scalar) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(json: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_scalar(json.as_bytes(), |scalar| {
            let bytes = match scalar {
                Scalar::Text(text) => text.unescape().into_owned(),
                Scalar::Number(number) => number.to_vec(),
            };
            all.push(String::from_utf8_lossy(&bytes).into_owned());
            all.len() < 10
        });
        all
    }

    #[test]
    fn values_are_given_and_names_are_not() {
        let json = r#" {"a" : "b", "c":{"d" :[1, -2.50e+3 ,"\u0061\"x" , true,null,{"e":"f:"}]}, "":""} "#;
        assert_eq!(scalars(json), ["b", "1", "-2.50e+3", "a\"x", "f:", ""]);
        assert_eq!(scalars("\"alone\""), ["alone"]);
        assert_eq!(scalars("[0,1,2,3,4,5,6,7,8,9,10,11]").len(), 10, "it ends when nobody wants more");
        assert!(scalars("null").is_empty() && scalars("\"open").is_empty() && scalars("").is_empty());
    }
}
