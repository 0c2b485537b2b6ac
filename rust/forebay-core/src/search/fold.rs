//! Letters that differ in their case alone, made one.

/// Returns the one letter that stands for a letter in every case: simple folding, one character for one, so `ß` is not `ss`,
/// and the Turkish letters keep their dots.
pub(super) fn fold(letter: char) -> char {
    match letter {
        '\0'..='\x7f' => letter.to_ascii_lowercase(),
        // Its capital is the `I` of all other languages.
        'ı' => letter,
        _ => {
            let capital = only(letter.to_uppercase()).unwrap_or(letter);
            only(capital.to_lowercase()).unwrap_or(letter)
        }
    }
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let first = letters.next()?;
    letters.next().is_none().then_some(first)
}

/// Puts the folded text in the place of what `out` holds.
pub(super) fn fold_into(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.chars().map(fold));
    }
}

/// Returns the folded text.
pub(super) fn folded(text: &str) -> String {
    let mut out = String::new();
    fold_into(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

    use super::*;

    #[test]
    fn two_letters_are_one_only_where_unicode_says_so() {
        // Latin, Greek, Cyrillic and their extensions: letters that were added lately are not in every table.
        for letter in ('\0'..='\u{52f}').chain('\u{1c80}'..='\u{1c88}').chain('\u{1e00}'..='\u{1fff}') {
            let folded = fold(letter);
            if folded != letter {
                let mut class = ClassUnicode::new([ClassUnicodeRange::new(letter, letter)]);
                class.case_fold_simple();
                let same = class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&folded));
                assert!(same, "{letter:?} is not {folded:?}");
                assert_eq!(fold(folded), folded, "{letter:?}");
            }
        }
        assert_eq!(folded("ΣΑΣ ς ẞß Ünï ÅÅ"), "σασ σ ßß ünï åå");
    }

    /// What is searched before a text is unescaped relies on it.
    #[test]
    fn two_characters_beyond_ascii_are_letters_of_it_in_another_case() {
        let into_ascii = ('\u{80}'..=char::MAX).filter(|letter| fold(*letter).is_ascii());
        assert_eq!(into_ascii.collect::<Vec<_>>(), ['ſ', '\u{212a}']);
        assert_eq!((fold('ſ'), fold('\u{212a}'), fold('ı'), fold('İ')), ('s', 'k', 'ı', 'İ'));
    }
}
