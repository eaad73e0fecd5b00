//! Builds the kernel side and hands its object to the crate.
//!
//! `TRACER_EBPF_TOOLCHAIN` names the rustup toolchain to build it with (`cargo xtask`
//! sets it; nightly otherwise). With `AYA_BUILD_SKIP=1` an empty object is put in its
//! place, and the daemon says that it was built without probes.

use std::{env, error::Error, fs, path::Path};

const TOOLCHAIN: &str = "TRACER_EBPF_TOOLCHAIN";
const SKIP: &str = "AYA_BUILD_SKIP";
const OBJECT: &str = "tracer-ebpf";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    println!("cargo:rerun-if-env-changed={SKIP}");
    println!("cargo:rerun-if-changed=build.rs");
    if matches!(env::var(SKIP).as_deref(), Ok("1" | "true")) {
        let object = Path::new(&env::var("OUT_DIR")?).join(OBJECT);
        fs::write(object, [])?;
        return Ok(());
    }
    let custom = env::var(TOOLCHAIN);
    let toolchain = match &custom {
        Ok(name) => {
            // A toolchain from a distribution is a stable one; building `core` needs
            // cargo's unstable options.
            #[expect(
                unsafe_code,
                reason = "the only way to reach the cargo that aya-build starts"
            )]
            // SAFETY: a build script has one thread here.
            unsafe {
                env::set_var("RUSTC_BOOTSTRAP", "1");
                // What the inner cargo says of its progress would come back as warnings.
                env::set_var("CARGO_TERM_QUIET", "true");
            }
            aya_build::Toolchain::Custom(name)
        }
        Err(_) => aya_build::Toolchain::Nightly,
    };
    let package = aya_build::Package {
        name: OBJECT,
        root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer-ebpf"),
        ..aya_build::Package::default()
    };
    aya_build::build_ebpf([package], toolchain).map_err(|error| {
        format!(
            "the kernel side could not be built: {error:#}\n\
             run `cargo xtask setup`, which finds or installs its toolchain, then \
             `cargo xtask build`; or set {SKIP}=1 to build without probes"
        )
        .into()
    })
}
