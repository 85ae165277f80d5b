//! Names of well-known interfaces.

/// The usual name of an interface, by its UUID in lower case. Source: the "Standards Assignments" sections of Microsoft's open
/// protocol documents (MS-SRVS, MS-SCMR, MS-SAMR, ...), C706 appendix O for the endpoint mapper.
pub fn interface_name(uuid: &str) -> Option<&'static str> {
    NAMES.binary_search_by_key(&uuid, |(u, _)| *u).ok().and_then(|i| NAMES.get(i)).map(|(_, name)| *name)
}

/// Sorted by UUID.
const NAMES: [(&str, &str); 36] = [
    ("00000131-0000-0000-c000-000000000046", "IRemUnknown"), // MS-DCOM
    ("00000143-0000-0000-c000-000000000046", "IRemUnknown2"), // MS-DCOM
    ("000001a0-0000-0000-c000-000000000046", "IRemoteSCMActivator"), // MS-DCOM
    ("12345678-1234-abcd-ef00-0123456789ab", "spoolss"),     // MS-RPRN
    ("12345678-1234-abcd-ef00-01234567cffb", "netlogon"),    // MS-NRPC
    ("12345778-1234-abcd-ef00-0123456789ab", "lsarpc"),      // MS-LSAD, MS-LSAT
    ("12345778-1234-abcd-ef00-0123456789ac", "samr"),        // MS-SAMR
    ("1544f5e0-613c-11d1-93df-00c04fd7bd09", "rfri"),        // MS-OXABREF
    ("1ff70682-0a51-30e8-076d-740be8cee98b", "atsvc"),       // MS-TSCH
    ("300f3532-38cc-11d0-a3f0-0020af6b0add", "trkwks"),      // MS-DLTW
    ("338cd001-2244-31f1-aaaa-900038001003", "winreg"),      // MS-RRP
    ("367abb81-9844-35f1-ad32-98f038001003", "svcctl"),      // MS-SCMR
    ("378e52b0-c0a9-11cf-822d-00aa0051e40f", "sasec"),       // MS-TSCH
    ("3919286a-b10c-11d0-9ba8-00c04fd92ef5", "dssetup"),     // MS-DSSP
    ("4b324fc8-1670-01d3-1278-5a47bf6ee188", "srvsvc"),      // MS-SRVS
    ("4d9f4ab8-7d1c-11cf-861e-0020af6e7c57", "IActivation"), // MS-DCOM
    ("4fc742e0-4a10-11cf-8273-00aa004ae673", "netdfs"),      // MS-DFSNM
    ("50abc2a4-574d-40b3-9d66-ee4fd5fba076", "dnsserver"),   // MS-DNSP
    ("6bffd098-a112-3610-9833-46c3f87e345a", "wkssvc"),      // MS-WKST
    ("76f03f96-cdfd-44fc-a22c-64950a001209", "IRemoteWinspool"), // MS-PAR
    ("82273fdc-e32a-18c3-3f78-827929dc23ea", "eventlog"),    // MS-EVEN
    ("86d35949-83c9-4044-b424-db363231fd0c", "ITaskSchedulerService"), // MS-TSCH
    ("894de0c0-0d55-11d3-a322-00c04fa321a1", "InitShutdown"), // MS-RSP
    ("91ae6020-9e3c-11cf-8d7c-00aa00c091be", "ICertPassage"), // MS-ICPR
    ("9556dc99-828c-11cf-a37e-00aa003240c7", "IWbemServices"), // MS-WMI
    ("99fcfec4-5260-101b-bbcb-00aa0021347a", "IObjectExporter"), // MS-DCOM
    ("a4f1db00-ca47-1067-b31f-00dd010662da", "emsmdb"),      // MS-OXCRPC
    ("afa8bd80-7d8a-11c9-bef4-08002b102989", "mgmt"),        // C706 appendix Q
    ("c681d488-d850-11d0-8c52-00c04fd90f7e", "efsrpc"),      // MS-EFSR
    ("d95afe70-a6d5-4259-822e-2c84da1ddb0d", "WindowsShutdown"), // MS-RSP
    ("df1941c5-fe89-4e79-bf10-463657acf44d", "efsrpc"),      // MS-EFSR
    ("e1af8308-5d1f-11c9-91a4-08002b14a0fa", "epmapper"),    // C706 appendix O
    ("e3514235-4b06-11d1-ab04-00c04fc2dcd2", "drsuapi"),     // MS-DRSR
    ("f309ad18-d86a-11d0-a075-00c04fb68820", "IWbemLevel1Login"), // MS-WMI
    ("f5cc5a18-4264-101a-8c59-08002b2f8426", "nspi"),        // MS-NSPI
    ("f6beaff7-1e19-4fbb-9f8f-b89e2018337c", "even6"),       // MS-EVEN6
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_uuid() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(NAMES.iter().all(|(uuid, name)| uuid.len() == 36 && interface_name(uuid) == Some(*name)));
        assert_eq!(interface_name("00000000-0000-0000-0000-000000000000"), None);
    }
}
