//! Berth's wire: the generated gRPC code, the conversion between wire and core, the one module that
//! opens connections and listeners, and what both daemons tell systemd and Prometheus.

pub mod convert;
pub mod metrics;
mod quiet;
pub mod supervisor;
pub mod transport;

pub mod v1 {
    //! The generated code of `proto/berth/v1`.
    #![expect(
        missing_docs,
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::large_enum_variant,
        clippy::too_many_lines,
        reason = "generated; the .proto files carry the documentation"
    )]
    tonic::include_proto!("berth.v1");

    /// The descriptors, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("berth");
}
