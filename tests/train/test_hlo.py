"""Collectives are counted as often as they run, and once."""

from zsgen.planning import hlo

# As a TPU's compiler writes it: a loop bounded by its condition alone, in
# which a gather is written at each step of its overlap; a sum of a tuple; a
# permute and a scatter in their asynchronous form.
TPU = """\
HloModule jit_step, is_scheduled=true

%overlap.1 (p: bf16[1,4]) -> (bf16[16,4], f32[8]) {
  %p = bf16[1,4]{1,0:T(8,128)(2,1)} parameter(0)
  %all-gather.1 = bf16[16,4]{1,0:T(8,128)(2,1)S(1)} all-gather(%p), \
channel_id=7, replica_groups=mesh['axis_0'=16,'axis_1'=1] {'axis_0'}
  ROOT %t.1 = (bf16[16,4]{1,0}, f32[8]{0}) tuple(%all-gather.1, %p)
}

%overlap.2 (p: bf16[1,4]) -> bf16[16,4] {
  %p = bf16[1,4]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %all-gather.2 = bf16[16,4]{1,0} all-gather(%p), channel_id=7, \
replica_groups=mesh['axis_0'=16,'axis_1'=1] {'axis_0'}
}

%scattered (p: f32[32]) -> f32[2] {
  %p = f32[32]{0} parameter(0)
  ROOT %reduce-scatter.1 = f32[2]{0} reduce-scatter(%p), channel_id=9, \
replica_groups=[1,16]<=[16], to_apply=%add
}

%body (p: (s32[], bf16[1,4])) -> (s32[], bf16[1,4]) {
  %p = (s32[], bf16[1,4]{1,0}) parameter(0)
  %x = bf16[1,4]{1,0} get-tuple-element(%p), index=1
  %fusion.1 = (bf16[16,4]{1,0}, f32[8]{0}) fusion(%x), kind=kCustom, \
calls=%overlap.1
  %fusion.2 = bf16[16,4]{1,0} fusion(%x), kind=kCustom, calls=%overlap.2
  %async = ((f32[32]), f32[2], u32[]) async-start(%x), calls=%scattered
  %wait = f32[2]{0} async-done(%async), calls=%scattered
  ROOT %t = (s32[], bf16[1,4]{1,0}) tuple(%p, %x)
}

%condition (p: (s32[], bf16[1,4])) -> pred[] {
  %p = (s32[], bf16[1,4]{1,0}) parameter(0)
  %bound = s32[]{:T(128)} constant(6)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  ROOT %less = pred[]{:T(512)} compare(%i, %bound), direction=LT
}

ENTRY %main (x: bf16[1,4]) -> f32[] {
  %x = bf16[1,4]{1,0} parameter(0)
  %while = (s32[], bf16[1,4]{1,0}) while(%x), condition=%condition, body=%body
  %send = (f32[10]{0}, f32[10]{0:S(1)}, u32[]{:S(2)}, u32[]{:S(2)}) \
collective-permute-start(%x), channel_id=2, source_target_pairs={{0,1},{1,0}}
  %sent = f32[10]{0} collective-permute-done(%send)
  ROOT %sums = (f32[], f32[3]{0}) all-reduce(%a, %b), channel_id=3, \
replica_groups={{0,1},{2,3}}, to_apply=%add
}
"""


def test_loops_channels_and_asynchronous_forms():
  actual = hlo.collectives(TPU, 16)
  assert actual == {
      # 6 turns; a device has one of 16 parts of 128 bytes.
      "all-gather": (6, 6 * 120, 128),
      # What arrives is the result, once for each of the 15 others.
      "reduce-scatter": (6, 6 * 15 * 8, 8),
      "collective-permute": (1, 40, 40),
      # Of two devices: half is sent on and half comes back, 16 bytes in all.
      "all-reduce": (1, 16, 16),
  }


def test_a_program_of_one_device_sends_nothing():
  assert not hlo.collectives("ENTRY %main (x: f32[]) -> f32[] {\n}\n", 1)


# As a TPU's compiler writes a program of two slices: sums of a loop's gradients
# and a gather, through the hosts.
SLICES = """\
HloModule jit_step, is_scheduled=true

%body (p: (s32[], bf16[4])) -> (s32[], bf16[4]) {
  %recv.5 = (bf16[4096,8,128]{2,1,0:T(8,128)(2,1)}, u32[], token[]) \
recv(%after-all), channel_id=1, is_host_transfer=true, frontend_attributes={\
_xla_host_transfer_handler_name="xla_megascale_runtime",\
_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv-done.5 = (bf16[4096,8,128], token[]) recv-done(%recv.5), channel_id=1, \
frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}
}

%condition (p: (s32[], bf16[4])) -> pred[] {
  %bound = s32[] constant(3)
  ROOT %less = pred[] compare(%i, %bound), direction=LT
}

ENTRY %main (x: bf16[4]) -> f32[] {
  %while = (s32[], bf16[4]{0}) while(%x), condition=%condition, body=%body
  %send = (f32[2,10], u32[], token[]) send(%x, %after-all), channel_id=2, \
frontend_attributes={_xla_megascale_transfer_type="ALL_GATHER"}
  %recv = (f32[4,10]{1,0}, u32[], token[]) recv(%after-all), channel_id=3, \
frontend_attributes={_xla_megascale_target="{1,2,3,4}x{0:3}",\
_xla_megascale_transfer_type="ALL_GATHER"}
}
"""


def test_transfers_between_slices():
  size = 4096 * 8 * 128 * 2
  assert hlo.transfers(SLICES) == {
      "all-reduce": (3, 3 * size, size),
      "all-gather": (1, 120, 160),  # A quarter is its own.
  }
  assert not hlo.collectives(SLICES, 8) and not hlo.transfers(TPU)
