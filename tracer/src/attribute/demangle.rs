//! Names of functions as people write them: a symbol in, the name that its compiler made it
//! from out.

use std::borrow::Cow;

/// Of a symbol: longer ones stay as they are, as their names can be much longer still.
const LONGEST: usize = 1024;
/// Of a name that is shown.
const SHOWN: usize = 200;

/// A function's name in its language.
#[must_use]
pub fn demangled(symbol: &str) -> Cow<'_, str> {
    if symbol.len() > LONGEST {
        return Cow::Borrowed(symbol);
    }
    // Without the hash that tells versions of one function apart.
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        return shortened(format!("{name:#}"));
    }
    if symbol.starts_with("_Z")
        && let Ok(name) = cpp_demangle::Symbol::new(symbol)
        && let Ok(name) = name.demangle()
    {
        return shortened(name);
    }
    Cow::Borrowed(symbol)
}

fn shortened(name: String) -> Cow<'static, str> {
    if name.chars().count() <= SHOWN {
        return Cow::Owned(name);
    }
    let beginning: String = name.chars().take(SHOWN).collect();
    Cow::Owned(beginning + "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_their_language() {
        assert_eq!(demangled("main"), "main");
        assert_eq!(
            demangled("_ZN4core3fmt5write17h0123456789abcdefE"),
            "core::fmt::write"
        );
        assert_eq!(demangled("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(demangled("_Znonsense"), "_Znonsense");
    }
}
