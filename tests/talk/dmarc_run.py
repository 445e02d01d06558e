#
# dmarc_run.py - one row a message: who sends it, what DNS says, and what must come of it
#
# A row of CASES: label, From value (or a list of fields), MAIL FROM, what SPF passes for (addresses
# 192.0.2.x pass for the domains of SPF), d= of the signatures, and the dmarc= result, header.from and
# policy.dmarc expected; then the action on the listener "obeys", where on_dmarc_fail = "policy".
import base64
import os
import re
import subprocess
import sys
import tempfile

HERE = sys.path.pop(0)  # a conversation of that name stands there
import dkim  # noqa: E402

sys.path.insert(0, HERE)
from milter import Milter  # noqa: E402
from running import Daemon  # noqa: E402
from tap import done, ok  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import dns_server as dns  # noqa: E402

CONF = """
mode = "enforce"
listen = "inet:127.0.0.1:%d"
log = "stderr"
realm = "home.example"
authserv_id = "mx.home.example"
dns = { servers = ["127.0.0.1@%d"]  timeout = "1500 ms" }
spf = { exempt = []  timeout = "1500 ms" }
own_domains = ["home.example", ".home.example"]
dmarc = {
  trusted_forwarders = ["198.51.100.7"]
  overrides = ( { domain = "lenient.example"  policy = "none" },
                { domain = ".strictly.example"  policy = "reject" },
                { client = ["198.51.100.8"]  policy = "quarantine" } )
}
listeners = {
  marks  = { role = "inbound"  daemon = ["marks"]  on_several_from = "accept" }
  obeys  = { role = "inbound"  daemon = ["obeys"]  on_several_from = "accept"  on_dmarc_fail = "policy" }
  files  = { role = "inbound"  daemon = ["files"]  on_dmarc_fail = "policy"  on_dmarc_quarantine = "warn" }
  severe = { role = "inbound"  daemon = ["severe"]  on_dmarc_fail = "reject"  on_dmarc_temperror = "tempfail" }
  watch  = { role = "inbound"  daemon = ["watch"]  mode = "watch"  on_dmarc_fail = "policy" }
  signs  = { role = "inbound"  daemon = ["signs"]  on_dkim_unaligned = "reject" }
  guards = { role = "inbound"  daemon = ["guards"]  on_own_domain = "reject" }
}
"""

DMARC = {
    # policies
    "none.example": "v=DMARC1; p=none",
    "hold.example": "v=DMARC1; p=quarantine",
    "bank.example": "v=DMARC1; p=reject",
    "upper.example": "v=DMARC1; p=REJECT",
    "blanks.example": "v = DMARC1 ; p = reject ; ",
    "late.example": "v=DMARC1; adkim=r; p=reject",
    "pct.example": "v=DMARC1; p=reject; pct=0",
    "test.example": "v=DMARC1; p=reject; t=y",
    "testq.example": "v=DMARC1; p=quarantine; t=Y",
    "testn.example": "v=DMARC1; p=none; t=y",
    "sub.example": "v=DMARC1; p=none; sp=reject",
    "np.example": "v=DMARC1; p=none; sp=quarantine; np=reject",
    "nponly.example": "v=DMARC1; p=none; np=reject",
    "twice.example": "v=DMARC1; p=none; p=reject",
    "strict.example": "v=DMARC1; p=reject; adkim=s; aspf=S",
    "unknown.example": "v=DMARC1; p=reject; foo=bar; adkim=x; psd=maybe; =; ;",
    # records that are none, or broken
    "case.example": "v=dmarc1; p=reject",
    "ten.example": "v=DMARC10; p=reject",
    "order.example": "p=reject; v=DMARC1",
    "nosemi.example": "v=DMARC1 p=reject",
    "empty.example": "v=DMARC1",
    "badp.example": "v=DMARC1; p=refuse",
    "badprua.example": "v=DMARC1; p=refuse; rua=mailto:d@badprua.example",
    "badsp.example": "v=DMARC1; p=reject; sp=maybe; rua=mailto:d@badsp.example!10m",
    "badspbare.example": "v=DMARC1; p=reject; sp=maybe",
    "two.example": ["v=DMARC1; p=reject", "v=DMARC1; p=reject"],
    "beside.example": ["v=spf1 -all", "v=DMARC1; p=reject", "hello"],
    "parts.example": [["v=DMARC1; p=re", "ject"]],
    "tabs.example": "v\t=\tDMARC1\t;\tp\t=\treject\t",
    "tight.example": "V=DMARC1;P=Reject",
    "ahead.example": " v=DMARC1; p=reject",
    "gaps.example": "v=DMARC1;; ; p=reject ;;",
    "quoted.example": "v=DMARC1; p=\"reject\"",
    "glued.example": "v=DMARC1; p=reject rua=mailto:d@glued.example",
    "voidp.example": "v=DMARC1; p=",
    "voidprua.example": "v=DMARC1; p=; rua=mailto:d@voidprua.example",
    "nop.example": "v=DMARC1; sp=reject; rua=mailto:d@nop.example",
    "nopname.example": "v=DMARC1; rua=d@nopname.example",
    "nopweb.example": "v=DMARC1; rua=https://nopweb.example/",
    "nopcomma.example": "v=DMARC1; rua=,,mailto:@,mailto:d@nopcomma.example!10m",
    "voidsp.example": "v=DMARC1; p=reject; sp=",
    "badnp.example": "v=DMARC1; p=reject; np=x",
    "badnprua.example": "v=DMARC1; p=reject; np=x; rua=mailto:d@badnprua.example",
    "again.example": "v=DMARC1; v=DMARC1; p=reject",
    "psdcase.example": "v=DMARC1; p=reject; PSD=N",
    "tyes.example": "v=DMARC1; p=reject; t=yes",
    "rfc7489.example": "v=DMARC1; p=reject; rf=afrf; ri=86400; pct=50; ruf=mailto:d@rfc7489.example",
    "words.example": "v=DMARC1; p=reject; adkim=strict; aspf=",
    "octets.example": "v=DMARC1; p=reject; x=\u00ff",
    "versions.example": ["v=DMARC2; p=none", "v=DMARC1; p=reject"],
    "brokentwo.example": ["v=DMARC1", "v=DMARC1; p=reject"],
    "two.bank.example": ["v=DMARC1; p=none", "v=DMARC1; p=none"],
    "long.example": [["v=DMARC1; x=" + "x" * 200, "x" * 255, "x" * 250 + "; p=", "reject"]],
    "tsub.example": "v=DMARC1; p=none; sp=reject; np=quarantine; t=y",
    "nosp.example": "v=DMARC1; p=quarantine; np=none",
    "xn--bcher-kva.test": "v=DMARC1; p=reject",
    "brokenown.bank.example": "v=DMARC1; p=oops",
    "noneown.bank.example": "v=DMARC1; p=none; sp=reject",
    "d.e.f.g.h.deep.example": "v=DMARC1; p=reject",
    "deep.example": "v=DMARC1; p=quarantine",
    "strictsub.example": "v=DMARC1; p=none; sp=reject; aspf=s; adkim=s",
    "psdn.example": "v=DMARC1; p=reject; psd=n",
    "psdu.example": "v=DMARC1; p=reject; psd=u",
    "dept.psdu.example": "v=DMARC1; p=quarantine; psd=u",
    "host.silenttld": "v=DMARC1; p=reject",
    # the walk
    "registry": "v=DMARC1; psd=y; p=reject; np=reject",
    "nopolicy": "v=DMARC1; psd=y",
    "own.registry": "v=DMARC1; p=quarantine",
    "a.own.registry": "v=DMARC1; p=none",
    "island.own.registry": "v=DMARC1; p=reject; psd=n",
    "deep.org.example": "v=DMARC1; p=none",
    "org.example": "v=DMARC1; p=reject",
    "lenient.example": "v=DMARC1; p=reject",
    "strictly.example": "v=DMARC1; p=none",
    "home.example": "v=DMARC1; p=none",
}
SILENT = ["_dmarc.silent.example", "_dmarc.gap.silentup.example"]
EXISTS = ["there.np.example", "there.nponly.example", "x.y.there2.np.example", "mail.sub.example", "shop.registry",
          "there.tsub.example", "there.nosp.example"]
SPF_DOMAINS = ["none.example", "bank.example", "mail.bank.example", "strict.example", "mail.strict.example", "esp.example",
               "org.example", "deep.org.example", "helo.bank.example", "island.own.registry", "own.registry", "silent.example",
               "home.example", "mail.home.example", "registry", "mail.words.example", "fail.bank.example"]
LONG = "a.b.c.d.e.f.g.h.i.j.mail.bank.example"

PASS, FAIL, NONE, TEMP, PERM = "pass", "fail", "none", "temperror", "permerror"
# label, From, MAIL FROM, SPF passes, d= list, result, header.from, policy.dmarc, action
CASES = [
    ("p=none", "a@none.example", "x@esp.example", True, [], FAIL, "none.example", "none", "accept"),
    ("p=quarantine", "a@hold.example", "x@esp.example", True, [], FAIL, "hold.example", "quarantine", "quarantine"),
    ("p=reject", "a@bank.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("values have no case", "a@upper.example", "x@esp.example", True, [], FAIL, "upper.example", "reject", "reject"),
    ("blanks around = and ;", "a@blanks.example", "x@esp.example", True, [], FAIL, "blanks.example", "reject", "reject"),
    ("p need not be second", "a@late.example", "x@esp.example", True, [], FAIL, "late.example", "reject", "reject"),
    ("pct is no tag", "a@pct.example", "x@esp.example", True, [], FAIL, "pct.example", "reject", "reject"),
    ("t=y: one step less", "a@test.example", "x@esp.example", True, [], FAIL, "test.example", "quarantine", "quarantine"),
    ("t=Y of quarantine", "a@testq.example", "x@esp.example", True, [], FAIL, "testq.example", "none", "accept"),
    ("t=y of none", "a@testn.example", "x@esp.example", True, [], FAIL, "testn.example", "none", "accept"),
    ("sp is not for the domain itself", "a@sub.example", "x@esp.example", True, [], FAIL, "sub.example", "none", "accept"),
    ("sp below it", "a@mail.sub.example", "x@esp.example", True, [], FAIL, "mail.sub.example", "reject", "reject"),
    ("np for what does not exist", "a@gone.np.example", "x@esp.example", True, [], FAIL, "gone.np.example", "reject", "reject"),
    ("sp for what exists", "a@there.np.example", "x@esp.example", True, [], FAIL, "there.np.example", "quarantine", "quarantine"),
    ("an empty non-terminal exists", "a@there2.np.example", "x@esp.example", True, [], FAIL, "there2.np.example", "quarantine", "quarantine"),
    ("a CNAME that leads nowhere exists", "a@dangling.np.example", "x@esp.example", True, [], FAIL, "dangling.np.example", "quarantine", "quarantine"),
    ("np without sp", "a@gone.nponly.example", "x@esp.example", True, [], FAIL, "gone.nponly.example", "reject", "reject"),
    ("p where there is no sp", "a@there.nponly.example", "x@esp.example", True, [], FAIL, "there.nponly.example", "none", "accept"),
    ("a tag twice: the first", "a@twice.example", "x@esp.example", True, [], FAIL, "twice.example", "none", "accept"),
    ("unknown tags and values", "a@unknown.example", "x@esp.example", True, [], FAIL, "unknown.example", "reject", "reject"),
    ("dmarc1 is no version", "a@case.example", "x@esp.example", True, [], NONE, "case.example", None, "accept"),
    ("DMARC10 is none", "a@ten.example", "x@esp.example", True, [], NONE, "ten.example", None, "accept"),
    ("v must be first", "a@order.example", "x@esp.example", True, [], NONE, "order.example", None, "accept"),
    ("a semicolon must follow", "a@nosemi.example", "x@esp.example", True, [], NONE, "nosemi.example", None, "accept"),
    ("no p", "a@empty.example", "x@esp.example", True, [], PERM, "empty.example", None, "accept"),
    ("an unknown p", "a@badp.example", "x@esp.example", True, [], PERM, "badp.example", None, "accept"),
    ("an unknown p with rua: none", "a@badprua.example", "x@esp.example", True, [], FAIL, "badprua.example", "none", "accept"),
    ("an unknown sp with rua: none", "a@badsp.example", "x@esp.example", True, [], FAIL, "badsp.example", "none", "accept"),
    ("an unknown sp", "a@badspbare.example", "x@esp.example", True, [], PERM, "badspbare.example", None, "accept"),
    ("two records: none", "a@two.example", "x@esp.example", True, [], NONE, "two.example", None, "accept"),
    ("other TXT records do not count", "a@beside.example", "x@esp.example", True, [], FAIL, "beside.example", "reject", "reject"),
    ("strings are joined", "a@parts.example", "x@esp.example", True, [], FAIL, "parts.example", "reject", "reject"),
    ("no record", "a@norecord.example", "x@esp.example", True, [], NONE, "norecord.example", None, "accept"),
    ("tabs around = and ;", "a@tabs.example", "x@esp.example", True, [], FAIL, "tabs.example", "reject", "reject"),
    ("names of tags have no case", "a@tight.example", "x@esp.example", True, [], FAIL, "tight.example", "reject", "reject"),
    ("a blank before v", "a@ahead.example", "x@esp.example", True, [], NONE, "ahead.example", None, "accept"),
    ("semicolons too many", "a@gaps.example", "x@esp.example", True, [], FAIL, "gaps.example", "reject", "reject"),
    ("a quoted p", "a@quoted.example", "x@esp.example", True, [], PERM, "quoted.example", None, "accept"),
    ("a semicolon that is missing", "a@glued.example", "x@esp.example", True, [], PERM, "glued.example", None, "accept"),
    ("an empty p", "a@voidp.example", "x@esp.example", True, [], PERM, "voidp.example", None, "accept"),
    ("an empty p with rua: none", "a@voidprua.example", "x@esp.example", True, [], FAIL, "voidprua.example", "none", "accept"),
    ("no p but rua: none", "a@nop.example", "x@esp.example", True, [], FAIL, "nop.example", "none", "accept"),
    ("no p but rua: none below, too", "a@x.nop.example", "x@esp.example", True, [], FAIL, "x.nop.example", "none", "accept"),
    ("no p, rua is no URI", "a@nopname.example", "x@esp.example", True, [], PERM, "nopname.example", None, "accept"),
    ("no p, rua is a URI", "a@nopweb.example", "x@esp.example", True, [], FAIL, "nopweb.example", "none", "accept"),
    ("no p, one URI of rua is well formed", "a@nopcomma.example", "x@esp.example", True, [], FAIL, "nopcomma.example", "none", "accept"),
    ("an empty sp", "a@voidsp.example", "x@esp.example", True, [], PERM, "voidsp.example", None, "accept"),
    ("an unknown np", "a@badnp.example", "x@esp.example", True, [], PERM, "badnp.example", None, "accept"),
    ("an unknown np below", "a@x.badnp.example", "x@esp.example", True, [], PERM, "x.badnp.example", None, "accept"),
    ("an unknown np with rua: none", "a@badnprua.example", "x@esp.example", True, [], FAIL, "badnprua.example", "none", "accept"),
    ("v twice", "a@again.example", "x@esp.example", True, [], FAIL, "again.example", "reject", "reject"),
    ("t=yes is not y", "a@tyes.example", "x@esp.example", True, [], FAIL, "tyes.example", "reject", "reject"),
    ("tags of RFC 7489", "a@rfc7489.example", "x@esp.example", True, [], FAIL, "rfc7489.example", "reject", "reject"),
    ("adkim=strict is relaxed", "a@words.example", "x@esp.example", True, ["mail.words.example"], PASS, "words.example", "reject", "accept"),
    ("an empty aspf is relaxed", "a@words.example", "x@mail.words.example", True, [], PASS, "words.example", "reject", "accept"),
    ("an octet that is no character", "a@octets.example", "x@esp.example", True, [], FAIL, "octets.example", "reject", "reject"),
    ("a record of another version beside it", "a@versions.example", "x@esp.example", True, [], FAIL, "versions.example", "reject", "reject"),
    ("two records, one without p", "a@brokentwo.example", "x@esp.example", True, [], NONE, "brokentwo.example", None, "accept"),
    ("two records, and one above", "a@two.bank.example", "x@esp.example", True, [], FAIL, "two.bank.example", "reject", "reject"),
    ("many strings", "a@long.example", "x@esp.example", True, [], FAIL, "long.example", "reject", "reject"),
    ("t=y of sp", "a@there.tsub.example", "x@esp.example", True, [], FAIL, "there.tsub.example", "quarantine", "quarantine"),
    ("t=y of np", "a@gone.tsub.example", "x@esp.example", True, [], FAIL, "gone.tsub.example", "none", "accept"),
    ("np=none", "a@gone.nosp.example", "x@esp.example", True, [], FAIL, "gone.nosp.example", "none", "accept"),
    ("np=none, it exists", "a@there.nosp.example", "x@esp.example", True, [], FAIL, "there.nosp.example", "quarantine", "quarantine"),
    ("a CNAME to a record", "a@alias.example", "x@esp.example", True, [], FAIL, "alias.example", "reject", "reject"),
    ("a CNAME to nothing", "a@aliasgone.example", "x@esp.example", True, [], NONE, "aliasgone.example", None, "accept"),
    ("a CNAME to nothing, and a record above", "a@aliasgone.bank.example", "x@esp.example", True, [], FAIL, "aliasgone.bank.example", "reject", "reject"),
    ("a broken record does not fall through", "a@brokenown.bank.example", "x@esp.example", True, [], PERM, "brokenown.bank.example", None, "accept"),
    ("sp of its own record is not for it", "a@noneown.bank.example", "x@esp.example", True, [], FAIL, "noneown.bank.example", "none", "accept"),
    ("but the organization's is below that", "a@x.noneown.bank.example", "x@esp.example", True, [], FAIL, "x.noneown.bank.example", "reject", "reject"),
    # alignment
    ("eight labels", "a@b.c.d.e.f.g.h.deep.example", "x@esp.example", True, [], FAIL, "b.c.d.e.f.g.h.deep.example", "quarantine", "quarantine"),
    ("a record in the middle aligns nothing more", "a@d.e.f.g.h.deep.example", "x@esp.example", True, ["deep.example"], PASS, "d.e.f.g.h.deep.example", "reject", "accept"),
    ("strict modes of the organization", "a@x.strictsub.example", "x@esp.example", True, ["strictsub.example"], FAIL, "x.strictsub.example", "reject", "reject"),
    ("strict: the name below itself", "a@x.strictsub.example", "x@esp.example", True, ["x.strictsub.example"], PASS, "x.strictsub.example", "reject", "accept"),
    ("psd=n of the organization", "a@mail.psdn.example", "x@esp.example", True, ["psdn.example"], PASS, "mail.psdn.example", "reject", "accept"),
    ("PSD=N", "a@psdcase.example", "x@esp.example", True, ["mail.psdcase.example"], PASS, "psdcase.example", "reject", "accept"),
    ("psd=u twice", "a@dept.psdu.example", "x@esp.example", True, ["psdu.example"], PASS, "dept.psdu.example", "quarantine", "accept"),
    ("psd=u: two departments", "a@dept.psdu.example", "x@esp.example", True, ["other.psdu.example"], PASS, "dept.psdu.example", "quarantine", "accept"),
    ("d= with capital letters", "a@bank.example", "x@esp.example", True, ["BANK.Example"], PASS, "bank.example", "reject", "accept"),
    ("strict: HELO's name, null sender", "a@strict.example", "", True, [], FAIL, "strict.example", "reject", "reject"),
    ("SPF of the domain itself", "a@bank.example", "x@bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("SPF of a name below", "a@bank.example", "x@mail.bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("SPF of the organisation above", "a@news.bank.example", "x@bank.example", True, [], PASS, "news.bank.example", "reject", "accept"),
    ("case does not matter", "a@BANK.Example", "x@Mail.Bank.EXAMPLE", True, [], PASS, "bank.example", "reject", "accept"),
    ("SPF that fails", "a@bank.example", "x@bank.example", False, [], FAIL, "bank.example", "reject", "reject"),
    ("DKIM of the domain itself", "a@bank.example", "x@esp.example", True, ["bank.example"], PASS, "bank.example", "reject", "accept"),
    ("DKIM of a name below", "a@bank.example", "x@esp.example", True, ["mail.bank.example"], PASS, "bank.example", "reject", "accept"),
    ("DKIM of another domain", "a@bank.example", "x@esp.example", True, ["esp.example"], FAIL, "bank.example", "reject", "reject"),
    ("one of several signatures", "a@bank.example", "x@esp.example", False, ["esp.example", "bank.example"], PASS, "bank.example", "reject", "accept"),
    ("a name that only ends alike", "a@bank.example", "x@esp.example", True, ["notbank.example"], FAIL, "bank.example", "reject", "reject"),
    ("strict: itself", "a@strict.example", "x@strict.example", True, [], PASS, "strict.example", "reject", "accept"),
    ("strict SPF: not below", "a@strict.example", "x@mail.strict.example", True, [], FAIL, "strict.example", "reject", "reject"),
    ("strict DKIM: not below", "a@strict.example", "x@esp.example", True, ["mail.strict.example"], FAIL, "strict.example", "reject", "reject"),
    ("HELO's pass counts for nothing", "a@bank.example", "x@esp.example", "helo", [], FAIL, "bank.example", "reject", "reject"),
    ("a null sender is HELO", "a@bank.example", "", True, [], PASS, "bank.example", "reject", "accept"),
    ("more than eight labels", "a@" + LONG, "x@bank.example", True, [], PASS, LONG, "reject", "accept"),
    # the walk
    ("psd=n ends it", "a@x.island.own.registry", "x@own.registry", True, [], FAIL, "x.island.own.registry", "reject", "reject"),
    ("and within the island all align", "a@x.island.own.registry", "x@island.own.registry", True, [], PASS, "x.island.own.registry", "reject", "accept"),
    ("an identifier on an island", "a@own.registry", "x@island.own.registry", True, [], FAIL, "own.registry", "quarantine", "quarantine"),
    ("below a registry: the organisation", "a@b.own.registry", "x@own.registry", True, [], PASS, "b.own.registry", "quarantine", "accept"),
    ("its own record", "a@a.own.registry", "x@esp.example", True, [], FAIL, "a.own.registry", "none", "accept"),
    ("the registry's policy for what has none", "a@shop.registry", "x@esp.example", True, [], FAIL, "shop.registry", "reject", "reject"),
    ("two below a registry do not align", "a@shop.registry", "x@esp.example", True, ["other.registry"], FAIL, "shop.registry", "reject", "reject"),
    ("a registry without a policy", "a@shop.nopolicy", "x@esp.example", True, [], NONE, "shop.nopolicy", None, "accept"),
    ("a record between is not used", "a@x.deep.org.example", "x@esp.example", True, [], FAIL, "x.deep.org.example", "reject", "reject"),
    ("the shortest name is the organisation", "a@deep.org.example", "x@org.example", True, [], PASS, "deep.org.example", "none", "accept"),
    ("the registry itself as author", "a@registry", "x@esp.example", True, [], FAIL, "registry", "reject", "reject"),
    ("a name below does not align with a registry", "a@registry", "x@own.registry", True, [], FAIL, "registry", "reject", "reject"),
    ("nor a registry with a name below", "a@own.registry", "x@registry", True, [], FAIL, "own.registry", "quarantine", "quarantine"),
    ("SPF knows no single label", "a@registry", "x@registry", True, [], FAIL, "registry", "reject", "reject"),
    ("two names below one organisation", "a@news.bank.example", "x@mail.bank.example", True, [], PASS, "news.bank.example", "reject", "accept"),
    ("DKIM of the organisation above", "a@news.bank.example", "x@esp.example", True, ["bank.example"], PASS, "news.bank.example", "reject", "accept"),
    ("a name with only an MX exists", "a@mx.np.example", "x@esp.example", True, [], FAIL, "mx.np.example", "quarantine", "quarantine"),
    ("below what exists, nothing", "a@x.there.np.example", "x@esp.example", True, [], FAIL, "x.there.np.example", "reject", "reject"),
    ("np=reject of the registry, a name that is not there", "a@gone.registry", "x@esp.example", True, [], FAIL, "gone.registry", "reject", "reject"),
    ("both pass", "a@bank.example", "x@bank.example", True, ["bank.example"], PASS, "bank.example", "reject", "accept"),
    ("strict SPF fails, DKIM passes", "a@strict.example", "x@mail.strict.example", True, ["strict.example"], PASS, "strict.example", "reject", "accept"),
    ("a null sender of another HELO", "a@none.example", "", True, [], FAIL, "none.example", "none", "accept"),
    ("p=none passes", "a@none.example", "x@none.example", True, [], PASS, "none.example", "none", "accept"),
    ("t=y, and it passes", "a@test.example", "x@esp.example", True, ["test.example"], PASS, "test.example", "quarantine", "accept"),
    # the From field
    ("an at sign in quotes", "\"x@evil.example\"@bank.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("a comma in a quoted name", "\"Firm, Inc.\" <a@bank.example>", "x@bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("an address in a comment", "a@bank.example (x@none.example)", "x@bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("folded", "Bank\n <a@bank.example>", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("two groups", "t: a@bank.example;, u: b@bank.example;", "x@bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("two mailboxes of one domain", "a@bank.example, b@bank.example", "x@bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("a group of one domain", "team: a@bank.example, b@bank.example;", "x@bank.example", True, [], PASS, "bank.example", "reject", "accept"),
    ("two domains: the one that fails", "a@none.example, b@bank.example", "x@none.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("in any order", "b@bank.example, a@none.example", "x@none.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("the strictest of those that fail", "a@none.example, b@hold.example, c@bank.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("one passes, one has no record", "a@bank.example, b@norecord.example", "x@bank.example", True, [], NONE, "norecord.example", None, "accept"),
    ("two From fields", [("From", " a@none.example"), ("From", " b@bank.example")], "x@none.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("two From fields of one domain never pass", [("From", " a@bank.example"), ("FROM", " b@bank.example")], "x@bank.example", True, [], PERM, "bank.example", "reject", "accept"),
    ("no From field", [("Subject", " x")], "x@bank.example", True, [], NONE, None, None, "accept"),
    ("an empty group", "undisclosed:;", "x@bank.example", True, [], PERM, None, None, "accept"),
    ("an address literal", "a@[192.0.2.1]", "x@bank.example", True, [], PERM, None, None, "accept"),
    ("a From that reads in two ways", "a@bank.example <x@esp.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    # what no domain may hold, but no reader sees
    ("an invisible character in the domain", "a@ba\xe2\x80\x8bnk.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("a soft hyphen, and never a pass", "a@ba\xc2\xadnk.example", "x@bank.example", True, [], PERM, "bank.example", "reject", "accept"),
    ("what only looks like an at sign", "a\xef\xbc\xa0bank.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("the same beside an address", "a\xef\xb9\xabbank.example, x@esp.example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("a dot too many", "a@bank..example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("an octet that is no character", "a@bank.example\xff", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("a domain in Unicode", "a@b\xc3\xbccher.example", "x@esp.example", True, [], NONE, "xn--bcher-kva.example", None, "accept"),
    ("a display name is no author", "\"ceo@bank.example\" <a@none.example>", "x@none.example", True, [], PASS, "none.example", "none", "accept"),
    ("eleven domains", ", ".join("a@d%d.example" % n for n in range(11)), "x@esp.example", True, [], FAIL, "d0.example", None, "reject"),
    ("a domain in Unicode with a record", "a@b\xc3\xbccher.test", "x@esp.example", True, [], FAIL, "xn--bcher-kva.test", "reject", "reject"),
    ("capitals in Unicode", "a@B\xc3\x9cCHER.Test", "x@esp.example", True, ["xn--bcher-kva.test"], PASS, "xn--bcher-kva.test", "reject", "accept"),
    ("a single label", "a@localhost", "x@esp.example", True, [], NONE, "localhost", None, "accept"),
    ("an IPv6 literal", "a@[IPv6:2001:db8::1]", "x@esp.example", True, [], PERM, None, None, "accept"),
    ("a group with a mailbox of another domain", "t: a@none.example, b@bank.example;", "x@none.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("the one that fails, though milder", "a@bank.example, b@hold.example", "x@bank.example", True, [], FAIL, "hold.example", "quarantine", "quarantine"),
    ("both pass", "a@bank.example, b@none.example", "x@esp.example", True, ["bank.example", "none.example"], PASS, "bank.example", "reject", "accept"),
    ("a route", "<@x.example:a@bank.example>", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("an encoded name", "=?utf-8?q?x=40none=2Eexample?= <a@bank.example>", "x@none.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("Sender is no author", [("Sender", " x@none.example"), ("From", " a@bank.example")], "x@none.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("Resent-From is no author", [("Resent-From", " a@bank.example"), ("From", " x@none.example")], "x@none.example", True, [], PASS, "none.example", "none", "accept"),
    ("an empty From field", "", "x@bank.example", True, [], PERM, None, None, "accept"),
    ("blanks around the dots", "a@ bank . example", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    ("a dot at the end", "a@bank.example.", "x@esp.example", True, [], FAIL, "bank.example", "reject", "reject"),
    # local exceptions
    ("an override", "a@lenient.example", "x@esp.example", True, [], FAIL, "lenient.example", "reject", "accept"),
    ("an override below a domain", "a@x.strictly.example", "x@esp.example", True, [], FAIL, "x.strictly.example", "none", "reject"),
    ("not for the domain itself", "a@strictly.example", "x@esp.example", True, [], FAIL, "strictly.example", "none", "accept"),
]
# These come last: a resolver may hold a silent server against others for a while.
SILENT_CASES = [
    # failures of DNS
    ("a silent author domain", "a@silent.example", "x@esp.example", True, [], TEMP, "silent.example", None, "accept"),
    ("it does not fall through", "a@gap.silentup.example", "x@esp.example", True, [], TEMP, "gap.silentup.example", None, "accept"),
    ("an aligned pass is a pass, whatever else is silent", "a@bank.example", "x@silent.example", True, ["bank.example"], PASS, "bank.example", "reject", "accept"),
    ("SPF temperror of another domain does not matter", "a@bank.example", "x@spfsilent.example", "silent", [], FAIL, "bank.example", "reject", "reject"),
    ("SPF temperror of the author's does", "a@bank.example", "x@spfsilent.bank.example", "silent", [], TEMP, "bank.example", "reject", "accept"),
    ("SERVFAIL of the author domain", "a@fail.bank.example", "x@esp.example", True, [], TEMP, "fail.bank.example", None, "accept"),
    ("even if its SPF passes", "a@fail.bank.example", "x@fail.bank.example", True, [], TEMP, "fail.bank.example", None, "accept"),
    ("REFUSED of the author domain", "a@refused.bank.example", "x@esp.example", True, [], TEMP, "refused.bank.example", None, "accept"),
    ("SERVFAIL between", "a@x.fail.bank.example", "x@esp.example", True, [], TEMP, "x.fail.bank.example", None, "accept"),
    ("SERVFAIL of the organization", "a@x.servfail.example", "x@esp.example", True, [], TEMP, "x.servfail.example", None, "accept"),
    ("SERVFAIL of an aligned name's own walk", "a@bank.example", "x@esp.example", True, ["fail.bank.example"], TEMP, "bank.example", "reject", "accept"),
    ("a top level that fails, and nothing below it passed", "a@host.silenttld", "x@esp.example", True, [], FAIL, "host.silenttld", "reject", "reject"),
    ("a top level that fails, a neighbor passed", "a@host.silenttld", "x@esp.example", True, ["other.silenttld"], TEMP, "host.silenttld", "reject", "accept"),
    ("a top level that fails, the author domain passed", "a@host.silenttld", "x@esp.example", True, ["host.silenttld"], PASS, "host.silenttld", "reject", "accept"),
    ("whether it exists is not known: the milder of sp and np", "a@fail.np.example", "x@esp.example", True, [], FAIL, "fail.np.example", "quarantine", "quarantine"),
    ("temperror beside a domain that fails", "a@fail.bank.example, b@hold.example", "x@esp.example", True, [], FAIL, "hold.example", "quarantine", "quarantine"),
    ("temperror beside a domain that passes", "a@fail.bank.example, b@bank.example", "x@bank.example", True, [], TEMP, "fail.bank.example", None, "accept"),
    ("so does a key that cannot be fetched", "a@bank.example", "x@esp.example", True, ["keysilent.bank.example"], TEMP, "bank.example", "reject", "accept"),
]


def zone(public_key):
    made = {}

    def put(name, kind, data):
        made.setdefault(name.encode(), []).append((kind, data))

    for domain, records in DMARC.items():
        for text in records if isinstance(records, list) else [records]:
            put("_dmarc." + domain, dns.TXT, [part.encode("latin1") for part in (text if isinstance(text, list) else [text])])
    for name in SILENT:
        made[name.encode()] = [(dns.SILENT, None)]
    for name in EXISTS:
        put(name, dns.A, b"\xc0\0\2\1")
    for name, code in (("_dmarc.fail.bank.example", dns.SERVFAIL), ("_dmarc.refused.bank.example", dns.REFUSED),
                       ("_dmarc.servfail.example", dns.SERVFAIL), ("_dmarc.silenttld", dns.SERVFAIL),
                       ("fail.np.example", dns.SERVFAIL)):
        put(name, dns.RCODE, code)
    put("_dmarc.alias.example", dns.CNAME, b"_dmarc.bank.example")
    put("_dmarc.aliasgone.example", dns.CNAME, b"nowhere.norecord.example")
    put("_dmarc.aliasgone.bank.example", dns.CNAME, b"nowhere.norecord.example")
    put("mx.np.example", dns.MX, (10, b"host.norecord.example"))
    put("dangling.np.example", dns.CNAME, b"nowhere.norecord.example")
    for domain in SPF_DOMAINS:
        put(domain, dns.TXT, [b"v=spf1 ip4:192.0.2.0/24 -all"])
    put("mail.esp.example", dns.TXT, [b"v=spf1 -all"])
    for name in ("spfsilent.example", "spfsilent.bank.example", "s._domainkey.keysilent.bank.example"):
        made[name.encode()] = [(dns.SILENT, None)]
    signers = {d for case in CASES + SILENT_CASES for d in case[4]} | {"home.example", "own.registry", "norecord.example"}
    for domain in signers - {"keysilent.bank.example"}:
        put("s._domainkey." + domain, dns.TXT, [public_key[:250], public_key[250:]])
    return made


def make_key(path):
    """A private key, and the text of its record."""
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "1024"], check=True, stderr=subprocess.DEVNULL)
    public = subprocess.run(["openssl", "rsa", "-in", path, "-pubout", "-outform", "DER"], check=True,
                            capture_output=True).stdout
    with open(path, "rb") as file:
        return file.read(), b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def fields_of(value):
    if isinstance(value, list):
        return [(name, text) for name, text in value]
    return [("From", " " + value), ("To", " b@home.example"), ("Date", " Mon, 1 Jun 2026 00:00:00 +0000")]


def sign(key, fields, domains):
    """The signatures of a message, uppermost first."""
    text = "".join("%s:%s\r\n" % field for field in fields).encode("latin1") + b"\r\nbody\r\n"
    made = []
    for domain in domains:
        value = dkim.sign(text, b"s", domain.encode(), key, include_headers=[b"from"]).decode("latin1")
        made.append(("DKIM-Signature", value.split(":", 1)[1].replace("\r\n", "\n").rstrip("\n")))
    return made


def converse(daemon, listener, case, key, client=None):
    """One message: what the filter answered, its reply, our field, and whether it was held."""
    _, value, sender, spf, domains = case[:5]
    fields = fields_of(value)
    fields = sign(key, fields, domains) + fields if domains else fields
    milter = Milter(daemon.port)
    milter.negotiate()
    milter.connect(daemon=listener, address=client or ("192.0.2.9" if spf else "203.0.113.9"))
    helo = "helo.bank.example" if spf == "helo" or sender == "" else "mail.esp.example"
    milter.helo(helo.encode())
    answer = milter.message([(name.encode(), text.encode("latin1")) for name, text in fields],
                            path=b"<" + sender.encode() + b">", i="Q1", body=b"body\r\n")
    results = [data[4:].rstrip(b"\0").decode("latin1") for command, data in milter.edits if command == "i"]
    held = any(command == "q" for command, _ in milter.edits)
    milter.quit()
    field = [text for text in results if text.startswith("Authentication-Results\0")]
    return answer, milter.reply_text.decode("latin1"), field[0] if field else "", held


def action_of(answer, reply, held):
    return "reject" if reply.startswith("5") else "tempfail" if reply.startswith("4") else \
        "quarantine" if held else "accept" if answer in ("eom c", "eom a") else answer


def result_of(field):
    """dmarc=, header.from= and policy.dmarc= of our field."""
    part = re.search(r"dmarc=(\w+)([^;]*)", field.replace("\n", " "))
    if part is None:
        return None
    domain = re.search(r"header\.from=(\S+)", part.group(2))
    policy = re.search(r"policy\.dmarc=(\S+)", part.group(2))
    return part.group(1), domain and domain.group(1), policy and policy.group(1)


def check(daemon, case, key):
    label, wanted, action = case[0], case[5:8], case[8]
    answer, reply, field, held = converse(daemon, "marks", case, key)
    ok(action_of(answer, reply, held) == "accept" and result_of(field) == wanted,
       "%s: %s" % (label, " ".join(str(word) for word in wanted)), (answer, reply, field))
    answer, reply, field, held = converse(daemon, "obeys", case, key)
    ok(action_of(answer, reply, held) == action and
       (action != "reject" or ("550 5.7.1" in reply and "DMARC" in reply)),
       "%s: %s" % (label, action), (answer, reply, field, held))


def own_names(daemon, key):
    """Strangers under our names, and those who may."""
    rows = [
        ("a stranger in From", "ceo@home.example", "x@esp.example", True, [], "reject"),
        ("below our domain", "ceo@mail.home.example", "x@esp.example", True, [], "reject"),
        ("a stranger in MAIL FROM", "x@esp.example", "ceo@home.example", False, [], "reject"),
        ("beside another author", "x@none.example, ceo@home.example", "x@none.example", True, [], "reject"),
        ("in a second From field", [("From", " x@none.example"), ("From", " ceo@home.example")], "x@none.example", True, [], "reject"),
        ("an invisible character in our domain", "ceo@ho\xe2\x80\x8bme.example", "x@esp.example", True, [], "reject"),
        ("what only looks like an at sign", "ceo\xef\xbc\xa0home.example", "x@esp.example", True, [], "reject"),
        ("a dot too many", "ceo@.home.example", "x@esp.example", True, [], "reject"),
        ("our own host", "ceo@home.example", "ceo@home.example", True, [], "accept"),
        ("handed back by a list, our signature valid", "ceo@home.example", "list@esp.example", True, ["home.example"], "accept"),
        ("not ours", "x@norecord.example", "x@esp.example", True, [], "accept"),
        ("a bounce", "MAILER-DAEMON@esp.example", "", False, [], "accept"),
    ]
    for label, value, sender, spf, domains, action in rows:
        answer, reply, field, held = converse(daemon, "guards", (label, value, sender, spf, domains), key)
        ok(action_of(answer, reply, held) == action, "own names: %s: %s" % (label, action), (answer, reply, field))
    answer, reply, field, held = converse(daemon, "guards", ("", "ceo@home.example", "x@esp.example", True, []), key,
                                          client="198.51.100.7")
    ok(action_of(answer, reply, held) == "accept", "own names: a trusted forwarder", (answer, reply, field))


def exceptions(daemon, key):
    bank = ("", "a@bank.example", "x@esp.example", True, [])
    answer, reply, field, held = converse(daemon, "obeys", bank, key, client="198.51.100.7")
    ok(action_of(answer, reply, held) == "accept" and result_of(field) == (FAIL, "bank.example", "reject") and
       "trusted_forwarder" in field, "a trusted forwarder: marked, with the reason", (answer, reply, field))
    answer, reply, field, held = converse(daemon, "severe", bank, key, client="198.51.100.7")
    ok(action_of(answer, reply, held) == "accept", "whatever the action is", (answer, reply, field))
    answer, reply, field, held = converse(daemon, "obeys", bank, key, client="198.51.100.8")
    ok(action_of(answer, reply, held) == "quarantine" and "local_policy" in field, "an override for a client", (answer, reply, field))
    answer, reply, field, held = converse(daemon, "files", ("", "a@hold.example", "x@esp.example", True, []), key)
    ok(action_of(answer, reply, held) == "accept", "on_dmarc_quarantine = \"warn\" holds nothing", (answer, reply, field))
    answer, reply, field, held = converse(daemon, "severe", ("", "a@none.example", "x@esp.example", True, []), key)
    ok(action_of(answer, reply, held) == "reject", "an action of one's own is carried out whatever the policy", (answer, reply, field))
    for label, author, signer, action in (
            ("itself", "a@bank.example", "bank.example", "accept"), ("a name below", "a@bank.example", "mail.bank.example", "accept"),
            ("another", "a@bank.example", "esp.example", "reject"), ("the organisation", "a@news.bank.example", "bank.example", "accept"),
            ("above an island", "a@x.island.own.registry", "own.registry", "reject"),
            ("above, without any record", "a@news.norecord.example", "norecord.example", "accept")):
        answer, reply, field, held = converse(daemon, "signs", ("", author, "x@esp.example", True, [signer]), key)
        ok(action_of(answer, reply, held) == action, "on_dkim_unaligned: signed by %s: %s" % (label, action), (answer, reply, field))
    answer, reply, field, held = converse(daemon, "watch", bank, key)
    ok(action_of(answer, reply, held) == "accept", "watch refuses nothing", (answer, reply, field))


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="dmarc.") as directory:
        key, record = make_key(directory + "/key.pem")
        server = dns.Server(zone(record))
        daemon = Daemon(program, directory, lambda port: CONF % (port, server.port))
        for case in CASES:
            check(daemon, case, key)
        own_names(daemon, key)
        exceptions(daemon, key)
        for case in SILENT_CASES:
            check(daemon, case, key)
        answer, reply, field, held = converse(daemon, "severe", ("", "a@silent.example", "x@esp.example", True, []), key)
        ok(action_of(answer, reply, held) == "tempfail", "on_dmarc_temperror", (answer, reply, field))
        names = [name for name, kind in server.asked if name.startswith(b"_dmarc.") and name.endswith(LONG[-20:].encode())]
        ok(b"_dmarc." + LONG.encode() in names and b"_dmarc.c.d.e.f.g.h.i.j.mail.bank.example" not in names,
           "a long name jumps to seven labels", names)
        ok(any(name == b"_dmarc.example" for name, _ in server.asked), "the single label is asked for")
        status = daemon.stop()
        text = daemon.said()
        ok("dmarc=fail:bank.example(reject)" in text and "reason=dmarc-fail" in text and "reason=dmarc-quarantine" in text
           and "reason=own-domain" in text and "would=reject" in text, "the log says what was found", text[-3000:])
        ok(status == 0 and "Sanitizer" not in text and "runtime error" not in text, "the daemon stopped cleanly", text[-2000:])
        server.close()
    done()


if __name__ == "__main__":
    main()
