//! What can go wrong, by layer: the command line, values, commands, the connection.

mod usage;
mod value;
mod warning;

pub use usage::UsageError;
pub use value::ValueError;
pub use warning::Warning;

use thiserror::Error;

/// A command can't be carried out.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// Bad command line.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// Bad value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// No table of that name.
    #[error("unknown table \"{name}\"")]
    UnknownTable {
        /// What was given.
        name: String,
    },
    /// An abbreviation fits several tables.
    #[error("\"{name}\" matches multiple table names: {}", candidates.join(", "))]
    AmbiguousTable {
        /// What was given.
        name: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    /// No column of that name.
    #[error("{table} does not contain a column whose name matches \"{name}\"")]
    UnknownColumn {
        /// The table.
        table: String,
        /// What was given.
        name: String,
    },
    /// An abbreviation fits several columns.
    #[error("{table} contains more than one column whose name matches \"{name}\": {}",
            candidates.join(", "))]
    AmbiguousColumn {
        /// The table.
        table: String,
        /// What was given.
        name: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    /// No row by that id or name.
    #[error("no row \"{record}\" in table {table}")]
    NoRow {
        /// The table.
        table: String,
        /// What was given.
        record: String,
    },
    /// A name or a shortened id fits several rows.
    #[error("multiple rows in {table} match \"{record}\"")]
    AmbiguousRow {
        /// The table.
        table: String,
        /// What was given.
        record: String,
    },
    /// A map has no such key.
    #[error("no key \"{key}\" in {table} record \"{record}\" column {column}")]
    NoKey {
        /// The key.
        key: String,
        /// The table.
        table: String,
        /// The record as given.
        record: String,
        /// The column.
        column: String,
    },
    /// A key was given for a column that is no map.
    #[error("cannot specify key to {verb} for non-map column {column}")]
    NotAMap {
        /// `get`, `set` or `check`.
        verb: &'static str,
        /// The column.
        column: String,
    },
    /// The column may only be set when its row is created.
    #[error("cannot modify read-only column {column} in table {table}")]
    ReadOnly {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// The result would have too many or too few elements.
    #[error(
        "\"{verb}\" operation would put {n} {what} in column {column} of table {table} \
         but the {limit} number is {bound}"
    )]
    ColumnCount {
        /// `add` or `remove`.
        verb: &'static str,
        /// Elements afterwards.
        n: usize,
        /// `values` or `pairs`.
        what: &'static str,
        /// The column.
        column: String,
        /// The table.
        table: String,
        /// `minimum` or `maximum`.
        limit: &'static str,
        /// The limit.
        bound: u64,
    },
    /// The column must not be empty.
    #[error(
        "\"clear\" operation cannot be applied to column {column} of table {table}, \
         which is not allowed to be empty"
    )]
    NotClearable {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// `--columns` names none.
    #[error("must specify at least one column name")]
    NoColumns,
    /// Two options exclude each other.
    #[error("{first} and {second} may not be specified together")]
    Exclusive {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// `--all` leaves nothing to choose.
    #[error("--all and {other} should not be specified together")]
    NotWithAll {
        /// What was given besides.
        other: &'static str,
    },
    /// An `--id` is neither a name nor a row id.
    #[error("row id \"{id}\" does not begin with \"@\"")]
    BadRowId {
        /// What was given.
        id: String,
    },
    /// Two commands give the same `--id`.
    #[error("row id \"{id}\" may only be specified on one --id option")]
    RowIdTwice {
        /// The name.
        id: String,
    },
    /// A name of `get --id` was used by an earlier command.
    #[error("row id \"{id}\" specified on \"get\" command was used before it was defined")]
    RowIdTooLate {
        /// The name.
        id: String,
    },
    /// A name is used but nothing creates it.
    #[error(
        "row id \"{id}\" is referenced but never created (e.g. with \"-- --id={id} create ...\")"
    )]
    RowIdUnknown {
        /// The name.
        id: String,
    },
    /// No bridge of that name.
    #[error("no bridge named {name}")]
    NoBridge {
        /// The name.
        name: String,
    },
    /// No port of that name.
    #[error("no port named {name}")]
    NoPort {
        /// The name.
        name: String,
    },
    /// No interface of that name.
    #[error("no interface named {name}")]
    NoInterface {
        /// The name.
        name: String,
    },
    /// Neither a port nor an interface of that name.
    #[error("no port or interface named {name}")]
    NoPortOrInterface {
        /// The name.
        name: String,
    },
    /// A real bridge is needed.
    #[error("{name} is a fake bridge")]
    FakeBridge {
        /// The name.
        name: String,
    },
    /// The name is taken.
    #[error("cannot create {wanted} because {taken} already exists{place}")]
    Exists {
        /// What was to be created.
        wanted: String,
        /// What has the name.
        taken: String,
        /// Where it is.
        place: String,
    },
    /// `--may-exist` met something that is not the same.
    #[error("\"--may-exist {command}\" but {name} {difference}")]
    Differs {
        /// The command as given.
        command: String,
        /// What exists.
        name: String,
        /// How it differs.
        difference: String,
    },
    /// `add-br` takes one or three arguments.
    #[error("'{command}' command takes exactly 1 or 3 arguments")]
    AddBridgeArguments {
        /// The command.
        command: String,
    },
    /// Nothing may be called by the empty string.
    #[error("{kind} name must not be empty string")]
    EmptyName {
        /// What was to be created.
        kind: &'static str,
    },
    /// Not a VLAN number.
    #[error("{command}: vlan must be between 0 and 4095")]
    BadVlan {
        /// The command.
        command: String,
    },
    /// The parent of a fake bridge is not there.
    #[error("parent bridge {name} does not exist")]
    NoParent {
        /// The parent.
        name: String,
    },
    /// The parent is a fake bridge itself.
    #[error("cannot create bridge with fake bridge as parent")]
    FakeParent,
    /// The parent already has a fake bridge for the VLAN.
    #[error("bridge {parent} already has a child VLAN bridge {child} on VLAN {vlan}")]
    VlanTaken {
        /// The parent.
        parent: String,
        /// The child.
        child: String,
        /// The VLAN.
        vlan: i64,
    },
    /// A bridge's own port goes only with the bridge.
    #[error(
        "cannot delete port {name} because it is the local port for bridge {name} \
         (deleting this port requires deleting the entire bridge)"
    )]
    LocalPort {
        /// The bridge.
        name: String,
    },
    /// The port is on another bridge.
    #[error("bridge {bridge} does not have a port {port}{hint}")]
    PortElsewhere {
        /// The bridge as given.
        bridge: String,
        /// The port.
        port: String,
        /// Who has it, if related.
        hint: String,
    },
    /// The interface belongs to another port.
    #[error("port {port} does not have an interface {name}")]
    InterfaceElsewhere {
        /// The port as given.
        port: String,
        /// The interface.
        name: String,
    },
    /// A port keeps at least one interface.
    #[error("cannot delete last interface from port {port}")]
    LastInterface {
        /// The port.
        port: String,
    },
    /// A bond needs two interfaces.
    #[error("add-bond requires at least 2 interfaces, but only {n} were specified")]
    BondTooSmall {
        /// How many were given.
        n: usize,
    },
    /// Not a number, or not in the place for one.
    #[error("Invalid argument {argument}")]
    BadArgument {
        /// What was given.
        argument: String,
    },
    /// No datapath of that name.
    #[error("datapath {name} does not exist")]
    NoDatapath {
        /// The name.
        name: String,
    },
    /// No datapath of that name, whose zones are to be listed.
    #[error("datapath: {name} record not found")]
    NoDatapathZones {
        /// The name.
        name: String,
    },
    /// No datapath of that name, whose capabilities are to be listed.
    #[error("datapath \"{name}\" record not found")]
    NoDatapathRecord {
        /// The name.
        name: String,
    },
    /// The zone has timeouts already.
    #[error("zone id {zone} already exists")]
    ZoneExists {
        /// The zone.
        zone: i64,
    },
    /// The zone has no timeouts.
    #[error("zone id {zone} does not exist")]
    NoZone {
        /// The zone.
        zone: i64,
    },
    /// Not a fail mode.
    #[error("fail-mode must be \"standalone\" or \"secure\"")]
    BadFailMode,
    /// Not a time.
    #[error("--inactivity-probe: \"{value}\" is not a number of milliseconds")]
    BadProbe {
        /// What was given.
        value: String,
    },
    /// The command is for the management API and can't be mixed with database commands.
    #[error("'{command}' asks the running switch and must be the only command")]
    NotAlone {
        /// The command.
        command: String,
    },
}
