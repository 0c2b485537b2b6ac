//! Lists in the bodies of a load.

/// Appends a JSON array of `count` values, each written by `push`.
pub fn push_list(text: &mut String, count: usize, mut push: impl FnMut(&mut String)) {
    text.push('[');
    for index in 0..count {
        if index > 0 {
            text.push(',');
        }
        push(text);
    }
    text.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_json() {
        for (count, expected) in [(0, "[]"), (1, "[1]"), (3, "[1,1,1]")] {
            let mut text = String::new();
            push_list(&mut text, count, |text| text.push('1'));
            assert_eq!(text, expected);
        }
    }
}
