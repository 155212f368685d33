//! Finds a kernel's modules and their dependencies.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::packages::Kernel;

/// Returns the modules `names` and their dependencies with name and content, uncompressed, in the order of loading.
///
/// Modules that are built into the kernel are left out.
pub(super) fn find(kernel: &Kernel, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = HashMap::new();
    index(&kernel.modules.join("kernel"), &mut files)?;
    let builtin = kernel.modules.join("modules.builtin");
    let builtin = fs::read_to_string(&builtin).with_context(|| format!("cannot read {}", builtin.display()))?;
    let builtin = builtin.lines().map(Path::new).filter_map(name).collect();
    let mut search = Search { files, builtin, found: Vec::new() };
    for name in names {
        search.add(name).with_context(|| format!("cannot find module {name} of Linux {}", kernel.release))?;
    }
    Ok(search.found)
}

/// A search for modules and their dependencies.
struct Search {
    files: HashMap<String, PathBuf>,
    builtin: Vec<String>,
    found: Vec<(String, Vec<u8>)>,
}

impl Search {
    /// Adds the module `name`, after its dependencies.
    fn add(&mut self, name: &str) -> Result<()> {
        // The kernel does not distinguish `-` and `_` in a module's name.
        let name = name.replace('-', "_");
        if self.builtin.contains(&name) || self.found.iter().any(|(found, _)| *found == name) {
            return Ok(());
        }
        let Some(file) = self.files.get(&name) else { bail!("no file for module {name}") };
        let module = read(file)?;
        for needed in dependencies(&module) {
            self.add(&needed)?;
        }
        self.found.push((name, module));
        Ok(())
    }
}

/// Adds all modules below `folder` to `files`, by name.
fn index(folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some(name) = name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// Returns the name of the module in `file`: `virtio_net` for `…/virtio-net.ko.xz`.
fn name(file: &Path) -> Option<String> {
    let (name, _) = file.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

/// Reads a module and decompresses it, which not every kernel can do.
fn read(file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
    };
    let mut decompress = Command::new(tool);
    let output = decompress.args(["--decompress", "--stdout"]).arg(file).output();
    let output = output.with_context(|| format!("cannot start `{tool}` to decompress {}", file.display()))?;
    if !output.status.success() {
        bail!("{tool} cannot decompress {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Returns the names of the modules that `module` depends on.
///
/// They are in the zero-terminated string `depends=a,b` of the section `.modinfo`.
fn dependencies(module: &[u8]) -> Vec<String> {
    let line = module.split(|byte| *byte == 0).find_map(|word| word.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(line.unwrap_or_default());
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{dependencies, name};

    #[test]
    fn dependencies_of_a_module_are_parsed() {
        let module = b"\x7fELF\0\0license=GPL\0depends=virtio,net_failover\0name=x\0";
        assert_eq!(dependencies(module), ["virtio", "net_failover"]);
        assert!(dependencies(b"\x7fELF\0depends=\0").is_empty());
    }

    #[test]
    fn the_name_of_a_module_is_derived_from_its_file() {
        assert_eq!(name(Path::new("/m/i2c-algo-bit.ko.xz")).as_deref(), Some("i2c_algo_bit"));
        assert_eq!(name(Path::new("/m/modules.dep")), None);
    }
}
