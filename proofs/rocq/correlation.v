(******************************************************************************)
(*      Cross-correlation (deep learning's convolution) is a matrix           *)
(*                                                                            *)
(* corr1 and conv2d act on an ALREADY PADDED input, as W^(i) does; they say   *)
(* in plain sums what torch.nn.functional.conv1d and conv2d compute.          *)
(*                                                                            *)
(*            N == the padded length of an axis                               *)
(*            s, s1, s2 == strides    dl, d1, d2 == dilations                 *)
(*            g == the number of groups                                       *)
(*   out_size N k s dl == the output length of torch                          *)
(*    corr1 w s dl x == the 1-D cross-correlation of x with the taps w        *)
(*   toep1 N w s dl  == its matrix                                            *)
(*   conv2d g s1 s2 d1 d2 kern x == the multichannel 2-D cross-correlation    *)
(*   conv2_mx ...    == its matrix W                                          *)
(*   convF ...       == its entries, by the positions of output and input     *)
(*   at3 x c i j == x at any three numbers, 0 where there is nothing          *)
(*   conv2_read, conv2_kern == conv2d as an index pattern and a kernel        *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section OutSize.
Local Open Scope nat_scope.

Definition out_size (N k s dl : nat) : nat := (N - (dl * k.-1).+1) %/ s + 1.

(* the output positions are exactly those whose last tap is inside *)
Theorem out_sizeP N k s dl u : 0 < s -> dl * k.-1 < N ->
  (u < out_size N k s dl) = (u * s + dl * k.-1 < N).
Proof.
move=> s0 fits; rewrite /out_size addn1 ltnS leq_divRL // leq_subRL // addSn.
by rewrite [(u * s + _)%N]addnC.
Qed.

(* so no tap is outside *)
Theorem reads_inside N k s dl u a : 0 < s -> dl * k.-1 < N ->
  u < out_size N k s dl -> a < k -> u * s + a * dl < N.
Proof.
move=> s0 fits; rewrite out_sizeP // => uN ak; apply: leq_ltn_trans uN.
by rewrite leq_add2l mulnC leq_mul2l -ltnS (ltn_predK ak) ak orbT.
Qed.

(* nor is any channel, as g divides both channel counts *)
Theorem channel_inside g ci co o c : g %| ci -> g %| co ->
  o < co -> c < ci %/ g -> o %/ (co %/ g) * (ci %/ g) + c < ci.
Proof.
move=> gi go oc cg; have co0 : 0 < co := leq_ltn_trans (leq0n o) oc.
have cog : g * (co %/ g) = co by rewrite mulnC divnK.
have og0 : 0 < co %/ g by rewrite -cog muln_gt0 in co0; case/andP: co0.
have og : o %/ (co %/ g) < g by rewrite ltn_divLR // cog.
rewrite -[X in _ < X](divnK gi) [X in _ < X]mulnC.
apply: leq_trans (leq_mul og (leqnn (ci %/ g))).
by rewrite mulSn addnC ltn_add2r.
Qed.

End OutSize.

Section Conv1D.
Variables (K : comRingType) (N k m : nat) (w : 'I_k -> K) (s dl : nat).

Definition corr1 (x : 'I_N -> K) (u : 'I_m) : K :=
  \sum_(a < k) w a * value x (insub (u * s + a * dl)%N).
Definition toep1 : 'M[K]_(m, N) :=
  \matrix_(u, j) \sum_(a < k) w a * (j == u * s + a * dl :> nat)%N%:R.

Theorem toep1P (x : 'cV[K]_N) u : (toep1 *m x) u 0 = corr1 (x^~ 0) u.
Proof.
rewrite mxE /corr1; under eq_bigr do rewrite mxE mulr_suml.
rewrite exchange_big; apply: eq_bigr => a _ /=.
rewrite value_sum mulr_sumr; apply: eq_bigr => j _.
by rewrite insub_eq mulrA.
Qed.

End Conv1D.

Section Conv2D.
Variables (K : comRingType) (ci co H V kh kw oh ow g s1 s2 d1 d2 : nat).
Local Notation cg := (ci %/ g)%N.      (* input channels of a group *)
Local Notation og := (co %/ g)%N.      (* output channels of a group *)
Local Notation Inp := ('I_ci * 'I_H * 'I_V)%type.
Local Notation Out := ('I_co * 'I_oh * 'I_ow)%type.
Local Notation Tap := ('I_cg * 'I_kh * 'I_kw)%type.
Variable kern : 'I_co -> 'I_cg -> 'I_kh -> 'I_kw -> K.

(* the value at any three numbers; 0 where there is none *)
Definition at3 (x : Inp -> K) (c i j : nat) : K :=
  value x (place (insub c) (insub i) (insub j)).

Definition conv2d (x : Inp -> K) (o : Out) : K :=
  let: (o, u, v) := o in
  \sum_(c < cg) \sum_(a < kh) \sum_(b < kw)
    kern o c a b * at3 x (o %/ og * cg + c) (u * s1 + a * d1) (v * s2 + b * d2).

Definition convF (o : Out) (p : Inp) : K :=
  \sum_(c < cg) \sum_(a < kh) \sum_(b < kw)
    kern o.1.1 c a b * [&& p.1.1 == o.1.1 %/ og * cg + c :> nat,
                           p.1.2 == o.1.2 * s1 + a * d1 :> nat
                         & p.2 == o.2 * s2 + b * d2 :> nat]%N%:R.
Definition conv2_mx : 'M[K]_(#|{: Out}|, #|{: Inp}|) := mxf convF.

(* the convolution as a pattern *)
Definition conv2_read (o : Out) (t : Tap) : option Inp :=
  place (insub (o.1.1 %/ og * cg + t.1.1)%N) (insub (o.1.2 * s1 + t.1.2 * d1)%N)
        (insub (o.2 * s2 + t.2 * d2)%N).
Definition conv2_kern (o : Out) (t : Tap) : K := kern o.1.1 t.1.1 t.1.2 t.2.

Lemma conv2d_gather x : conv2d x =1 gather conv2_read conv2_kern x.
Proof. by case=> [[o u] v]; rewrite /gather sum3. Qed.

Lemma conv2_mx_pattern : conv2_mx = pattern_mx conv2_read conv2_kern.
Proof.
apply/eq_mxf => o p; rewrite sum3; do 3 (apply: eq_bigr => ? _).
by rewrite place_eq !insub_eq.
Qed.

Theorem conv2dP x : conv2_mx *m vec x = vec (conv2d x).
Proof. by rewrite conv2_mx_pattern patternP; apply/eq_vec => o; rewrite conv2d_gather. Qed.

(* with the output size of torch, every tap falls inside *)
Theorem conv2_read_inside (o : Out) (t : Tap) :
  (g %| ci)%N -> (g %| co)%N -> (0 < s1)%N -> (0 < s2)%N ->
  (d1 * kh.-1 < H)%N -> (d2 * kw.-1 < V)%N ->
  oh = out_size H kh s1 d1 -> ow = out_size V kw s2 d2 ->
  conv2_read o t <> None.
Proof.
case: o t => [[o u] v] [[c a] b] gi go s10 s20 fitH fitV Eh Ew; rewrite /conv2_read /=.
rewrite !insubT ?channel_inside //.
- by rewrite (reads_inside (k := kh)) // -Eh.
- by rewrite (reads_inside (k := kw)) // -Ew.
Qed.

End Conv2D.

Print Assumptions out_sizeP.
Print Assumptions reads_inside.
Print Assumptions channel_inside.
Print Assumptions toep1P.
Print Assumptions conv2dP.
Print Assumptions conv2_read_inside.
