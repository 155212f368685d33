//! Checks of a bond whose ports `run` would serve.

use super::Finding;
use crate::network::{BondMode, Device};

/// Checks the settings of a bond. A team, whose settings are those of its daemon, has no findings.
pub(super) fn examine(bond: &Device, ports: usize) -> Vec<Finding> {
    let Some(settings) = bond.bond else {
        return Vec::new();
    };
    let name = &bond.name;
    let why = "some drivers lose the link for seconds when the XDP program comes or goes, and the bond must notice";
    let mut findings = Vec::new();
    if settings.miimon == 0 && settings.arp_interval == 0 {
        let fact = "it does not check the links of its ports (miimon and arp_interval are 0)";
        let fix = format!("ip link set {name} type bond miimon 100");
        findings.push(Finding::warning("bond", fact, why, fix));
    }
    if settings.downdelay > 0 {
        let fact = format!("it uses a port for {} ms after its link is down (downdelay)", settings.downdelay);
        let fix = format!("ip link set {name} type bond downdelay 0");
        findings.push(Finding::warning("bond", fact, why, fix));
    }
    if ports == 1 && settings.mode == BondMode::ActiveBackup {
        let fact = "it has one port only, so that nothing takes over while its link is down";
        findings.push(Finding::warning("bond", fact, why, "add the other port before sip-filter starts or stops"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("bond", format!("it has {ports} ports and checks their links"), why));
    }
    findings
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{BondMode, Device, examine};
    use crate::doctor::Level;
    use crate::network::Bond;

    #[rstest]
    #[case::checked(Bond { miimon: 100, ..Bond::default() }, 2, None)]
    #[case::checked_by_arp(Bond { arp_interval: 100, ..Bond::default() }, 2, None)]
    #[case::unchecked(Bond::default(), 2, Some("miimon 100"))]
    #[case::delayed(Bond { miimon: 100, downdelay: 200, ..Bond::default() }, 2, Some("downdelay 0"))]
    #[case::alone(Bond { miimon: 100, mode: BondMode::ActiveBackup, ..Bond::default() }, 1, Some("other port"))]
    fn bond_that_notices_a_lost_link_too_late_is_a_warning(
        #[case] bond: Bond,
        #[case] ports: usize,
        #[case] fix: Option<&str>,
    ) {
        let device = Device { name: "bond0".into(), bond: Some(bond), ..Device::default() };
        let findings = examine(&device, ports);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.level, if fix.is_some() { Level::Warning } else { Level::Ok });
        assert!(finding.fix.as_deref().unwrap_or_default().contains(fix.unwrap_or_default()), "{finding:?}");
    }
}
