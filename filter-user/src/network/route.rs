//! The default routes of this host.

use std::collections::BTreeSet;
use std::io;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};

use super::netlink::dump_routes;

/// Returns the indices of the interfaces by which default routes of the main table leave, of both IP versions.
pub(crate) fn default_routes() -> io::Result<BTreeSet<u32>> {
    let mut interfaces = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        for route in dump_routes(request)?.iter().filter(|route| is_default(route)) {
            interfaces.extend(route.attributes.iter().flat_map(outgoing));
        }
    }
    Ok(interfaces)
}

fn is_default(route: &RouteMessage) -> bool {
    let RouteHeader { destination_prefix_length, table, kind, .. } = route.header;
    destination_prefix_length == 0 && table == RouteHeader::RT_TABLE_MAIN && kind == RouteType::Unicast
}

/// Returns the interfaces that an attribute of a route names: one, or those of several next hops.
fn outgoing(attribute: &RouteAttribute) -> Vec<u32> {
    match attribute {
        RouteAttribute::Oif(ifindex) => vec![*ifindex],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    }
}
