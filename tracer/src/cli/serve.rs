//! `tracer serve`: what may be typed or be in its file of settings, and what is meant by it.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{CommandFactory as _, FromArgMatches as _, ValueHint, error::ErrorKind};

use super::{
    args::Args,
    intent::{Conflict, Intent},
    values,
    watch::{Watch, WatchArgs},
};

/// The name of the subcommand.
const NAME: &str = "serve";
/// Bytes that a file of settings has at most.
pub const LONGEST_FILE: u64 = 64 << 10;

/// `tracer serve`.
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct ServeArgs {
    /// Answer HTTP at this address and port
    ///
    /// There is no encryption and no authentication: an address that other machines can reach
    /// needs --allow-remote.
    #[arg(
        short,
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:9435"
    )]
    pub listen: SocketAddr,

    /// Answer whoever can reach the address, other machines too
    #[arg(long)]
    pub allow_remote: bool,

    /// Settings from this file: "name = value" lines, by the names of these options
    ///
    /// What is typed wins over what is in the file. SIGHUP reads it again: all but the address,
    /// --capture, --max-processes, --measure-probes and the first --picks is taken over without a
    /// break.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Put figures together anew each time after this long
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub interval: Duration,

    /// Export this many processes that lead in the gap, in growth and in retained bytes each
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::exported)]
    pub top: u32,

    /// Export this many control groups, the largest; the others in sum
    #[arg(long, value_name = "N", default_value = "100", value_parser = values::exported)]
    pub top_cgroups: u32,

    #[command(flatten)]
    pub watch: WatchArgs,

    /// Trace up to this many processes at once call by call: those that grow by --pick-growth, or
    /// that a filter asks for
    ///
    /// What they gave back and kept is known then. The rights to load more programs into the kernel
    /// are kept for it. 0: none.
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::picks)]
    pub picks: u32,

    /// Have the kernel measure how long tracer's programs run in it
    ///
    /// That costs each run of each BPF program of the host two readings of the clock. Needs
    /// cap_sys_admin at the start.
    #[arg(long)]
    pub measure_probes: bool,

    /// Say only errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// A daemon that watches a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// Where to answer.
    pub listen: SocketAddr,
    /// The file of settings.
    pub config: Option<PathBuf>,
    /// How often to put figures together.
    pub interval: Duration,
    /// Processes to export.
    pub top: usize,
    /// Control groups to export.
    pub cgroups: usize,
    /// What is watched.
    pub watch: Watch,
    /// How many processes are traced at once.
    pub picks: usize,
    /// Whether programs in the kernel are measured.
    pub measure_probes: bool,
    /// Whether to say nothing but errors.
    pub quiet: bool,
}

impl TryFrom<ServeArgs> for Serve {
    type Error = Conflict;

    fn try_from(args: ServeArgs) -> Result<Self, Conflict> {
        if !args.listen.ip().to_canonical().is_loopback() && !args.allow_remote {
            return Err(Conflict::Remote(args.listen));
        }
        let many = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self {
            listen: args.listen,
            config: args.config,
            interval: args.interval,
            top: many(args.top),
            cgroups: many(args.top_cgroups),
            watch: args.watch.into(),
            picks: many(args.picks),
            measure_probes: args.measure_probes,
            quiet: args.quiet,
        })
    }
}

/// What `args`, the program's name first, mean together with a file of settings. What is typed
/// wins.
///
/// # Errors
/// A line of the file, or a value, makes no sense.
pub fn with_file(args: &[OsString], file: &str) -> Result<Serve, clap::Error> {
    let mut command = Args::command();
    let settings = settings(file, &command)
        .map_err(|why| clap::Error::raw(ErrorKind::ValueValidation, why).format(&mut command))?;
    let at = args
        .iter()
        .position(|arg| arg == NAME)
        .map_or(args.len(), |at| at + 1);
    let (before, typed) = args.split_at(at);
    let all = before.iter().chain(&settings).chain(typed);
    let matches = command.try_get_matches_from_mut(all)?;
    let intent = Args::from_arg_matches(&matches)
        .and_then(|args| Intent::try_from(args).map_err(Conflict::into_error));
    match intent {
        Ok(Intent::Serve(serve)) => Ok(*serve),
        Ok(_) => Err(clap::Error::raw(
            ErrorKind::InvalidSubcommand,
            "this is no daemon",
        )),
        Err(error) => Err(error),
    }
    .map_err(|error| error.format(&mut command))
}

/// The lines of a file as arguments.
fn settings(file: &str, command: &clap::Command) -> Result<Vec<OsString>, String> {
    let Some(command) = command.find_subcommand(NAME) else {
        return Ok(Vec::new());
    };
    let mut arguments = Vec::new();
    for (line, at) in file.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line {at}: give a setting as `name = value`"))?;
        let (name, value) = (name.trim(), unquoted(value.trim()));
        let option = command
            .get_arguments()
            .find(|option| option.get_long() == Some(name) && name != "config")
            .ok_or_else(|| format!("line {at}: there is no setting `{name}`"))?;
        if option.get_action().takes_values() {
            arguments.push(format!("--{name}={value}").into());
            continue;
        }
        match value {
            "true" => arguments.push(format!("--{name}").into()),
            "false" => {}
            _ => return Err(format!("line {at}: `{name}` is true or false")),
        }
    }
    Ok(arguments)
}

fn unquoted(value: &str) -> &str {
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    fn words(args: &str) -> Vec<OsString> {
        args.split(' ').map(OsString::from).collect()
    }

    fn serve(args: &str) -> Serve {
        match parse(words(args)) {
            Ok(Intent::Serve(serve)) => *serve,
            other => panic!("{args}: {other:?}"),
        }
    }

    #[test]
    fn only_this_machine_is_answered_unless_asked_for() {
        assert_eq!(serve("tracer serve").listen.to_string(), "127.0.0.1:9435");
        for local in ["127.0.0.2:1", "[::1]:9435", "[::ffff:127.0.0.1]:9435"] {
            serve(&format!("tracer serve --listen {local}"));
        }
        for remote in ["0.0.0.0:9435", "[::]:9435", "192.0.2.1:9435"] {
            let args = format!("tracer serve --listen {remote}");
            let error = parse(words(&args)).expect_err("it is refused").to_string();
            assert!(
                error.contains(remote) && error.contains("--allow-remote"),
                "{error}"
            );
            serve(&format!("{args} --allow-remote"));
        }
    }

    #[test]
    fn a_file_has_the_same_settings_and_what_is_typed_wins() {
        let file = "# processes\ntop = 7\n\n  comm = \"nginx*\"\nlisten=127.0.0.1:1\nquiet = true\n\
                    allow-remote = false\nmin-size = 1G\n";
        let meant = with_file(&words("tracer serve --listen 127.0.0.1:2"), file).expect("it fits");
        assert_eq!((meant.top, meant.listen.port()), (7, 2));
        assert_eq!(meant.watch.comm.as_deref(), Some("nginx*"));
        assert_eq!(meant.watch.min_size.0, 1 << 30);
        assert!(meant.quiet);
        // The same without one.
        let args = words("tracer serve");
        assert_eq!(
            with_file(&args, "").expect("it fits"),
            serve("tracer serve")
        );
    }

    #[test]
    fn what_makes_no_sense_in_a_file_is_said_with_its_line() {
        for (file, said) in [
            ("top 7", "line 1: give a setting as `name = value`"),
            ("\ntpo = 7", "line 2: there is no setting `tpo`"),
            ("config = x", "line 1: there is no setting `config`"),
            ("quiet = yes", "line 1: `quiet` is true or false"),
            ("top = 0", "--top"),
            ("listen = 0.0.0.0:80", "--allow-remote"),
        ] {
            let error = with_file(&words("tracer serve"), file)
                .expect_err(file)
                .to_string();
            assert!(error.contains(said), "{file}: {error}");
        }
    }
}
