/* Prints an answer to DCB_CMD_IEEE_GET as the kernel's own headers lay it out. */
#include <linux/dcbnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

static unsigned char out[4096];
static int at;

static int begin(int type) { int start = at; struct nlattr a = {0, type}; memcpy(out + at, &a, 4); at += 4; return start; }
static void end(int start) { ((struct nlattr *)(out + start))->nla_len = at - start; while (at % 4) out[at++] = 0; }
static void put(int type, const void *data, int size) { int s = begin(type); memcpy(out + at, data, size); at += size; end(s); }

int main(void) {
    struct nlmsghdr head = {0, RTM_GETDCB, 0, 1, 42};
    struct dcbmsg message = {0, DCB_CMD_IEEE_GET, 0};
    struct ieee_ets ets = {.willing = 1, .ets_cap = 8};
    struct ieee_pfc pfc = {.pfc_cap = 8, .pfc_en = 1 << 3 | 1 << 6, .mbc = 0, .delay = 7};
    struct dcb_app app = {IEEE_8021QAZ_APP_SEL_DSCP, 3, 26};
    for (int i = 0; i < 8; i++) { ets.prio_tc[i] = i; ets.tc_tx_bw[i] = i < 2 ? 50 : 0; ets.tc_tsa[i] = i < 2 ? IEEE_8021QAZ_TSA_ETS : IEEE_8021QAZ_TSA_STRICT; }
    pfc.requests[3] = 5000000000ull; pfc.indications[3] = 12;
    at = sizeof head + sizeof message;
    put(DCB_ATTR_IFNAME, "eth1", 5);
    int ieee = begin(DCB_ATTR_IEEE);
    put(DCB_ATTR_IEEE_ETS, &ets, sizeof ets);
    put(DCB_ATTR_IEEE_PFC, &pfc, sizeof pfc);
    int apps = begin(DCB_ATTR_IEEE_APP_TABLE | NLA_F_NESTED);
    put(DCB_ATTR_IEEE_APP, &app, sizeof app);
    end(apps);
    end(ieee);
    head.nlmsg_len = at;
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, &message, sizeof message);
    fwrite(out, 1, at, stdout);
    return 0;
}
