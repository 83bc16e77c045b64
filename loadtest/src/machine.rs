//! Describes this machine for the report.

use std::fs;

use crate::report::Machine;

/// This machine, of which this program may use `cores` cores.
#[must_use]
pub fn this_machine(cores: usize) -> Machine {
    let uname = rustix::system::uname();
    Machine {
        processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        cores,
        memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        kernel: format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        ),
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn processor(cpuinfo: &str) -> String {
    value(cpuinfo, "model name").unwrap_or("unknown").to_owned()
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kibibytes = value(meminfo, "MemTotal").and_then(|value| {
        let (number, _) = value.split_once(' ')?;
        number.parse::<u64>().ok()
    });
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2.60GHz\nprocessor: 1\n";
        assert_eq!(processor(text), "A CPU @ 2.60GHz");
        assert_eq!(processor(""), "unknown");
        assert_eq!(memory_bytes("MemTotal:       2048 kB\n"), 2 << 20);
        let machine = this_machine(2);
        assert!(machine.memory_bytes > 0 && machine.kernel.starts_with("Linux "));
    }
}
