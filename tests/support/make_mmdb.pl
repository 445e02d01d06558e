# make_mmdb.pl - a small MaxMind DB file: make_mmdb.pl FILE country|asn NETWORK=VALUE...
use strict;
use warnings;
use MaxMind::DB::Writer::Tree;

my ($file, $kind, @networks) = @ARGV;
my %types = (country => 'map', iso_code => 'utf8_string', names => 'map', en => 'utf8_string',
    autonomous_system_number => 'uint32', autonomous_system_organization => 'utf8_string');
my $tree = MaxMind::DB::Writer::Tree->new(
    ip_version => 6,
    record_size => 24,
    database_type => $kind eq 'asn' ? 'Test-ASN' : 'Test-Country',
    languages => ['en'],
    description => { en => 'a test' },
    remove_reserved_networks => 0,
    map_key_type_callback => sub { $types{ $_[0] } },
);
for (@networks) {
    my ($network, $value) = split /=/;
    $tree->insert_network($network, $kind eq 'asn' ?
        { autonomous_system_number => $value, autonomous_system_organization => "net $value" } :
        { country => { iso_code => $value, names => { en => "land $value" } } });
}
open my $out, '>:raw', "$file.new" or die "$file: $!\n";
$tree->write_tree($out);
close $out;
rename "$file.new", $file or die "$file: $!\n";
