# shellcheck shell=bash
# shellcheck disable=SC2317 # called by name, through ok
#
# dmarc_report.sh - read the mail that brings an aggregate report of DMARC

# report_rows FILE - each record of a report: client, count, disposition, DKIM, SPF, reasons
report_rows() {
	"$LAB_PYTHON" -c '
import sys, xml.etree.ElementTree
ns = "{urn:ietf:params:xml:ns:dmarc-2.0}"
for record in xml.etree.ElementTree.parse(sys.argv[1]).getroot().findall(ns + "record"):
    row = record.find(ns + "row")
    said = row.find(ns + "policy_evaluated")
    print(row.findtext(ns + "source_ip"), row.findtext(ns + "count"), *[said.findtext(ns + one) for one in
        ("disposition", "dkim", "spf")], *[one.findtext(ns + "type") for one in said.findall(ns + "reason")],
        record.findtext(ns + "identifiers/" + ns + "envelope_from"))' "$1" | LC_ALL=C sort
}

# report_of FILE TO - write the XML in the mail to TO, if it is gzip
report_of() {
	"$LAB_PYTHON" -c '
import email, gzip, sys
mail = email.message_from_binary_file(open(sys.argv[1], "rb"))
parts = [part for part in mail.walk() if part.get_content_type() == "application/gzip"]
open(sys.argv[2], "wb").write(gzip.decompress(parts[0].get_payload(decode=True)))
sys.exit(len(parts) != 1 or not parts[0].get_filename().endswith(".xml.gz"))' "$1" "$2"
}

# valid FILE - by the schema of RFC 9990
valid() {
	xmllint --nonet --noout --schema "$LAB_TOP/tests/talk/rfc9990.xsd" "$1" 2>"$LAB_DIR/work/lint"
}
