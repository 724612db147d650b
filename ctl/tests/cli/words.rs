//! Command lines as a shell splits them.

/// The words of a line, with single quotes, double quotes and backslashes as in a shell.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == ' ' {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match c {
            '\'' => word.extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    word.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
            }
            '\\' => word.extend(chars.next()),
            other => word.push(other),
        }
    }
    words.extend(word);
    words
}

#[test]
fn quotes_keep_words_together() {
    assert_eq!(
        split(r#"a 'b "c'  "d \"e" \'f ''"#),
        ["a", "b \"c", "d \"e", "'f", ""]
    );
}
