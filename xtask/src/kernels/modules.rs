//! A kernel's modules: which file each is, and which others it needs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::packages::Kernel;

/// The modules that are asked for and those that they need, uncompressed, in the order in which they are to be loaded.
/// What is built into the kernel is left out.
pub(super) fn find(kernel: &Kernel, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = HashMap::new();
    index(&kernel.modules.join("kernel"), &mut files)?;
    let builtin = fs::read_to_string(kernel.modules.join("modules.builtin")).context("the list of built-in modules")?;
    let mut search =
        Search { files, builtin: builtin.lines().map(Path::new).filter_map(name).collect(), found: Vec::new() };
    for name in names {
        search.add(name).with_context(|| format!("kernel {}", kernel.release))?;
    }
    Ok(search.found)
}

struct Search {
    files: HashMap<String, PathBuf>,
    builtin: Vec<String>,
    found: Vec<(String, Vec<u8>)>,
}

impl Search {
    fn add(&mut self, name: &str) -> Result<()> {
        // The kernel takes `-` and `_` in a name for the same.
        let name = name.replace('-', "_");
        if self.builtin.contains(&name) || self.found.iter().any(|(found, _)| *found == name) {
            return Ok(());
        }
        let Some(file) = self.files.get(&name) else { bail!("there is no module {name}") };
        let module = read(file)?;
        for needed in needs(&module) {
            self.add(&needed)?;
        }
        self.found.push((name, module));
        Ok(())
    }
}

fn index(folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some(name) = name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `virtio_net` of `…/virtio-net.ko.xz`.
fn name(file: &Path) -> Option<String> {
    let (name, _) = file.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

/// A module, uncompressed: not every kernel can do that itself.
fn read(file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("read {}", file.display())),
    };
    let mut unpack = Command::new(tool);
    let output = unpack.args(["--decompress", "--stdout"]).arg(file).output();
    let output = output.with_context(|| format!("`{tool}` is not installed, which unpacks {}", file.display()))?;
    if !output.status.success() {
        bail!("{tool} cannot unpack {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// What a module says that it needs: `depends=a,b` among the words, ended by zeros, of its section `.modinfo`.
fn needs(module: &[u8]) -> Vec<String> {
    let line = module.split(|byte| *byte == 0).find_map(|word| word.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(line.unwrap_or_default());
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{name, needs};

    #[test]
    fn what_a_module_needs_is_read() {
        assert_eq!(needs(b"\x7fELF\0\0license=GPL\0depends=virtio,net_failover\0name=x\0"), ["virtio", "net_failover"]);
        assert!(needs(b"\x7fELF\0depends=\0").is_empty());
        assert_eq!(name(Path::new("/m/i2c-algo-bit.ko.xz")).as_deref(), Some("i2c_algo_bit"));
        assert_eq!(name(Path::new("/m/modules.dep")), None);
    }
}
