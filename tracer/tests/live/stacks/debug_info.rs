//! Stacks of programs that were built or packaged in other ways than by default: where their
//! tables and names are then.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{MAPS, compile_with, paths};
use crate::harness::{Account, Folder, Tracer, command, installed, skip};

/// Keeps a mapping, in functions that no other file sees.
const KEEPS: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
__attribute__((noipa)) static void *keep_in_private(size_t bytes)
{
    return mmap(0, bytes, 3, 0x22, -1, 0);
}
__attribute__((noipa)) static void ask_in_private(void)
{
    printf("%p\n", keep_in_private(5 << 20));
}
int main(void) { ask_in_private(); puts("done"); return 0; }
"#;

fn account_of(words: &[&str]) -> Account {
    Tracer::launch(words, &[]).finish().account()
}

/// Whether all programs are there; says which one is not.
fn have(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| installed(program).is_none());
    if let Some(program) = missing {
        skip(&format!("no {program}"));
    }
    missing.is_none()
}

fn run(folder: &Folder, script: &str) {
    let mut shell = command("sh");
    shell.args(["-e", "-c", script]).current_dir(folder.path());
    assert!(
        shell.status().expect("there is a shell").success(),
        "{script}"
    );
}

/// The mapping that `KEEPS` keeps: where its stack ends, and whether it has names and lines.
fn kept(account: &Account) -> (String, bool, bool) {
    let path = paths(account).iter().find(|path| path["mapped"] == 5 << 20);
    let path = path.unwrap_or_else(|| panic!("{account}"));
    let frames = path["frames"].as_array().expect("frames");
    let private = frames.iter().filter(|frame| {
        ["keep_in_private", "ask_in_private"]
            .iter()
            .any(|name| frame["function"] == *name)
    });
    let lines = private.clone().filter(|frame| frame["line"].is_u64());
    let end = path["end"].as_str().expect("a word").to_owned();
    (end, private.count() == 2, lines.count() == 2)
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_program_with_compressed_tables_and_no_others_has_whole_stacks() {
    let folder = Folder::new();
    let options = [
        "-gz=zlib",
        "-fno-asynchronous-unwind-tables",
        "-fno-unwind-tables",
        "-fno-exceptions",
    ];
    if !have(&["gcc", "readelf"]) {
        return;
    }
    let program = compile_with(&folder, "maps", "gcc", MAPS, &options).expect("it is installed");
    let sections = Command::new("readelf").args(["-SW"]).arg(&program).output();
    let sections = String::from_utf8_lossy(&sections.expect("it is installed").stdout).into_owned();
    let section = sections.lines().find(|line| line.contains(".debug_frame"));
    let section = section.unwrap_or_else(|| panic!("{sections}"));
    assert!(section.contains(" C "), "it is not compressed: {section}");

    let account = account_of(&[&program.to_string_lossy(), "1"]);
    let mut found = 0;
    for path in paths(&account) {
        let frames = path["frames"].as_array().expect("frames");
        let Some(at) = frames
            .iter()
            .position(|frame| frame["function"] == "keep_own_pool")
        else {
            continue;
        };
        found += 1;
        let caller = &frames[at + 1];
        assert_eq!(caller["function"], "main", "{path:#}");
        assert_eq!(caller["found_by"], "tables", "{path:#}");
        assert_eq!(path["end"], "root", "{path:#}");
    }
    assert!(found > 0, "{account}");
}

/// As Fedora's packages have it.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn symbols_that_were_packed_into_a_stripped_program_are_used() {
    if !have(&["gcc", "nm", "objcopy", "strip", "xz"]) {
        return;
    }
    let folder = Folder::new();
    let options = ["-Wl,--build-id=none"];
    let whole = compile_with(&folder, "whole", "gcc", KEEPS, &options).expect("it is installed");
    run(
        &folder,
        "nm -D --format=posix --defined-only whole | awk '{ print $1 }' | sort > exported
         nm --format=posix --defined-only whole \
             | awk '$2 == \"T\" || $2 == \"t\" || $2 == \"D\" { print $1 }' | sort > all
         comm -13 exported all > wanted
         objcopy --only-keep-debug whole debug
         objcopy --strip-all --remove-section .comment --keep-symbols=wanted debug mini
         xz mini
         strip --strip-all -o stripped whole
         objcopy --add-section .gnu_debugdata=mini.xz stripped packed",
    );
    fs::remove_file(whole).expect("own file");
    let told = |name: &str| kept(&account_of(&[&folder.join(name).to_string_lossy()]));
    assert_eq!(told("stripped"), ("root".to_owned(), false, false));
    assert_eq!(told("packed"), ("root".to_owned(), true, false));
}

/// A debug file in its place below `/usr/lib/debug`; it is gone with this, and so are folders
/// that were not there before.
struct DebugFile {
    path: PathBuf,
    folders: Vec<PathBuf>,
}

impl DebugFile {
    fn put(content: &Path, place: &Path) -> Self {
        let path = Path::new("/usr/lib/debug").join(place);
        let missing = path.ancestors().skip(1);
        let missing = missing.take_while(|folder| !folder.exists());
        let folders: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        fs::create_dir_all(path.parent().expect("it has one")).expect("root may");
        let file = Self { path, folders };
        fs::copy(content, &file.path).expect("root may");
        file
    }
}

impl Drop for DebugFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_debug_file_that_a_program_links_to_is_used_if_it_is_the_right_one() {
    if !have(&["gcc", "objcopy"]) {
        return;
    }
    let folder = Folder::new();
    let options = ["-Wl,--build-id=none"];
    let whole = compile_with(&folder, "whole", "gcc", KEEPS, &options).expect("it is installed");
    run(
        &folder,
        "objcopy --only-keep-debug whole linked.debug
         objcopy --strip-all --add-gnu-debuglink=linked.debug whole linked",
    );
    fs::remove_file(whole).expect("own file");
    let debug = folder.join("linked.debug");
    let place = folder.path().canonicalize().expect("own folder");
    let program = place.join("linked");
    let told = || kept(&account_of(&[&program.to_string_lossy()]));
    // Beside the program it is whatever its owner put there.
    assert_eq!(told(), ("root".to_owned(), false, false));
    let home = place.strip_prefix("/").expect("an absolute path");
    let home = home.join("linked.debug");
    let right = DebugFile::put(&debug, &home);
    assert_eq!(told(), ("root".to_owned(), true, true));
    drop(right);

    let mut content = fs::read(&debug).expect("own file");
    content.push(0);
    fs::write(&debug, content).expect("own file");
    let wrong = DebugFile::put(&debug, &home);
    assert_eq!(told(), ("root".to_owned(), false, false));
    drop(wrong);
}

/// `dwz` makes the debug files of a package smaller: what they have in common goes to a file that
/// they name.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn debug_files_that_share_a_third_one_have_names_and_lines() {
    if !have(&["gcc", "objcopy", "dwz"]) {
        return;
    }
    let folder = Folder::new();
    // Of no program: its first bytes are the process' id.
    let id = |number: u8| {
        format!(
            "{:08x}{number:02x}7472616365720000000000",
            std::process::id()
        )
    };
    for (number, name) in [(1, "one"), (2, "other")] {
        let option = format!("-Wl,--build-id=0x{}", id(number));
        compile_with(&folder, name, "gcc", KEEPS, &[&option]).expect("it is installed");
    }
    run(
        &folder,
        "for name in one other; do
             objcopy --only-keep-debug $name $name.debug
             objcopy --strip-all $name
         done
         dwz -m common.debug -M \"$PWD/common.debug\" one.debug other.debug",
    );
    assert!(
        folder.join("common.debug").exists(),
        "they have nothing in common"
    );
    let (first, rest) = (&id(2)[..2], &id(2)[2..]);
    let place = format!(".build-id/{first}/{rest}.debug");
    let _debug = DebugFile::put(&folder.join("other.debug"), Path::new(&place));
    let told = kept(&account_of(&[&folder.join("other").to_string_lossy()]));
    assert_eq!(told, ("root".to_owned(), true, true));
}
