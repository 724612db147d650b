//! What an image's builder must know of ELF files: the libraries they need and, for kernel
//! modules, the modules they depend on.

use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, Object, ObjectSection};

/// Names of the shared libraries that a program or library needs (its DT_NEEDED entries),
/// in the file's order.
pub fn needed_libraries(data: &[u8]) -> Result<Vec<String>, object::Error> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((entries, link)) = sections.dynamic(endian, data)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, data, link)?;
    entries
        .iter()
        .filter(|entry| entry.tag(endian) == DT_NEEDED)
        .map(|entry| Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned()))
        .collect()
}

/// Path of the program's dynamic loader, none for a static one.
pub fn interpreter(data: &[u8]) -> Result<Option<String>, object::Error> {
    let file = object::File::parse(data)?;
    let Some(section) = file.section_by_name(".interp") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(section.data()?).into_owned();
    Ok(Some(text.trim_end_matches('\0').to_owned()))
}

/// Names of the modules that a kernel module must find loaded (`depends=` in its section
/// `.modinfo`).
pub fn module_dependencies(data: &[u8]) -> Result<Vec<String>, object::Error> {
    let file = object::File::parse(data)?;
    let Some(section) = file.section_by_name(".modinfo") else {
        return Ok(Vec::new());
    };
    Ok(depends_of(section.data()?))
}

fn depends_of(modinfo: &[u8]) -> Vec<String> {
    modinfo
        .split(|b| *b == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix("depends="))
        .flat_map(|list| list.split(','))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_test_program_needs_libc_and_a_loader() {
        let data = std::fs::read("/proc/self/exe").unwrap();
        let needed = needed_libraries(&data).unwrap();
        assert!(needed.iter().any(|l| l == "libc.so.6"), "{needed:?}");
        assert!(interpreter(&data).unwrap().unwrap().contains("ld-linux"));
    }

    #[test]
    fn not_elf_is_an_error() {
        assert!(needed_libraries(b"#!/bin/sh\n").is_err());
        assert!(module_dependencies(b"").is_err());
    }

    #[test]
    fn module_dependencies_are_split() {
        assert_eq!(
            depends_of(b"license=GPL\0depends=mrp,garp\0name=8021q\0"),
            ["mrp", "garp"]
        );
        assert!(depends_of(b"license=GPL\0depends=\0").is_empty());
    }
}
