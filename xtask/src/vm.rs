//! Jobs on other kernels than this machine's.

use std::path::PathBuf;
use std::time::Duration;

use aorta_integration::lab::{Job, lab_image};
use clap::{Args, Subcommand};

use crate::error::TaskError;
use crate::proc::{build_programs, root};

/// Status with which a job ends that succeeded.
const SUCCESS: i32 = 0;

/// What to do with machines.
#[derive(Debug, Subcommand)]
pub enum VmTask {
    /// Build the image with a kernel of that series, or tell where it is.
    Image {
        #[command(flatten)]
        kernel: Kernel,
    },
    /// Run a shell command in a machine and print what it prints; its status is ours.
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub struct Kernel {
    /// Series of the kernel: 6.1 or 6.12.
    #[arg(long, default_value = "6.12")]
    kernel: String,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    kernel: Kernel,
    /// A file to have in /job, where the command runs; may be repeated.
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Build vswitchd and vsctl, and have them in /job.
    #[arg(long)]
    switch: bool,
    /// Seconds that the machine may take, boot included.
    #[arg(long, default_value_t = 480)]
    limit: u64,
    /// Memory in MiB.
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// Virtual processors.
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// The command: `-- ip link`, or `-- 'one; two'`.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Does it.
///
/// # Errors
/// When the image can't be had, the machine fails, or the command's status isn't 0.
pub fn run(task: VmTask) -> Result<(), TaskError> {
    match task {
        VmTask::Image { kernel } => {
            let image = lab_image(&kernel.kernel)?;
            let manifest = &image.manifest;
            println!(
                "kernel    {} ({})",
                image.kernel.display(),
                manifest.kernel_release
            );
            println!("initramfs {}", image.initramfs.display());
            for (file, checksum) in manifest.files.iter().chain(&manifest.packages) {
                println!("{checksum}  {file}");
            }
            Ok(())
        }
        VmTask::Run(args) => job(&args),
    }
}

fn job(args: &RunArgs) -> Result<(), TaskError> {
    let image = lab_image(&args.kernel.kernel)?;
    let scratch = tempfile::tempdir().map_err(TaskError::file("make", "a directory"))?;
    let mut job = Job {
        memory_mib: args.memory,
        cpus: args.cpus,
        limit: Duration::from_secs(args.limit),
        ..Job::new(&args.command.join(" "))
    };
    if args.switch {
        build_programs(&[])?;
        for program in ["vswitchd", "vsctl"] {
            let path = root().join("target/debug").join(program);
            job = job.program(&path, scratch.path())?;
        }
    }
    for file in &args.files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        job.files.push((file.clone(), name.into_owned()));
    }
    let output = job.run(&image)?;
    print!("{}", output.stdout);
    match output.status {
        SUCCESS => Ok(()),
        status => Err(TaskError::Job { status }),
    }
}
