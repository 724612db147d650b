//! Programs: those in front of the stack, and test runs.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_type};

use super::{attr, bpf, fd, object_name};

/// Loads an XDP program, for a device that runs it, or for the kernel if `ifindex` is 0. `code` is
/// whole instructions with descriptors of maps in them. What the verifier says begins `log`, and ends
/// with a zero byte; it says nothing if that is empty.
pub fn load_xdp(code: &[u8], name: &str, ifindex: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    const INSN_BYTES: usize = 8;
    if code.is_empty() || !code.len().is_multiple_of(INSN_BYTES) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut attr = attr();
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
    attr.__bindgen_anon_3.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.__bindgen_anon_3.insns = code.as_ptr() as u64;
    attr.__bindgen_anon_3.insn_cnt = (code.len() / INSN_BYTES) as u32;
    attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    attr.__bindgen_anon_3.prog_name = object_name(name);
    attr.__bindgen_anon_3.prog_ifindex = ifindex;
    if !log.is_empty() {
        attr.__bindgen_anon_3.log_level = 1;
        attr.__bindgen_anon_3.log_buf = log.as_mut_ptr() as u64;
        attr.__bindgen_anon_3.log_size = log.len() as u32;
    }
    // SAFETY: code and log are borrowed for the call, with their lengths; the licence is a string
    // that ends with a zero byte, and is there for good.
    let new = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}

/// What a test run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestRun {
    /// What the program returned.
    pub verdict: u32,
    /// Nanoseconds of one run, on average.
    pub duration_ns: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// Runs an XDP program on `frames` frames that really come from the device `ifindex`, and does what it
/// says; nanoseconds that a frame took, without the time that others had the processor.
pub fn run_live(
    program: BorrowedFd<'_>,
    frame: &[u8],
    ifindex: u32,
    frames: u32,
) -> io::Result<u32> {
    const LIVE_FRAMES: u32 = 1 << 1;
    const BATCH: u32 = 64;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0, frame.len() as u32, 0, ifindex, 0, 0];
    let mut attr = attr();
    attr.test.prog_fd = fd(program);
    attr.test.data_in = frame.as_ptr() as u64;
    attr.test.data_size_in = frame.len() as u32;
    attr.test.ctx_in = context.as_ptr() as u64;
    attr.test.ctx_size_in = size_of_val(&context) as u32;
    attr.test.repeat = frames;
    attr.test.flags = LIVE_FRAMES;
    attr.test.batch_size = BATCH;
    // SAFETY: input and context are borrowed or owned for the call, with their sizes.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: the kernel filled in the fields of this command.
    Ok(unsafe { attr.test.duration })
}

/// Runs a TC program `repeat` times on `frame` as if it came from the device `ifindex` (0: the
/// loopback device).
pub fn test_run(
    program: BorrowedFd<'_>,
    frame: &[u8],
    ifindex: u32,
    repeat: u32,
) -> io::Result<TestRun> {
    const SK_BUFF_BYTES: usize = 192;
    const SK_BUFF_IFINDEX: usize = 40;
    let mut context = [0u8; SK_BUFF_BYTES];
    context[SK_BUFF_IFINDEX..SK_BUFF_IFINDEX + 4].copy_from_slice(&ifindex.to_ne_bytes());
    // Programs make frames longer, by a label or tag at each of their actions.
    let mut out = vec![0u8; frame.len() + 2048];
    let mut attr = attr();
    attr.test.prog_fd = fd(program);
    attr.test.data_in = frame.as_ptr() as u64;
    attr.test.data_size_in = frame.len() as u32;
    attr.test.data_out = out.as_mut_ptr() as u64;
    attr.test.data_size_out = out.len() as u32;
    attr.test.repeat = repeat;
    if ifindex != 0 {
        attr.test.ctx_in = context.as_ptr() as u64;
        attr.test.ctx_size_in = SK_BUFF_BYTES as u32;
    }
    // SAFETY: input, output and context are owned or borrowed for the call, with their sizes.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: the kernel filled in the fields of this command.
    let (verdict, duration_ns, len) = unsafe {
        (
            attr.test.retval,
            attr.test.duration,
            attr.test.data_size_out,
        )
    };
    out.truncate(len as usize);
    Ok(TestRun {
        verdict,
        duration_ns,
        frame: out,
    })
}
