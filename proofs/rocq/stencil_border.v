(******************************************************************************)
(*      The border: where two zero-padded convolutions are not one            *)
(*                                                                            *)
(* Output v of the two layers meets tap t2 of the second layer at the         *)
(* position spot v t2 of the padded intermediate image, of c1 channels, h1    *)
(* rows, w1 columns; through it, tap t1 of the first layer meets the input.   *)
(*                                                                            *)
(*    spot v t2 == (channel, row, column), counted with the padding           *)
(*       kept z == the position z is inside: it is not a padded zero          *)
(*    seen z t1 == tap t1 of the first layer, if it were continued over the   *)
(*                 border to z, would meet the input, not its padding         *)
(*    border2 v == some t2 has a spot not kept from which the input is seen   *)
(* border2_bias v == some t2 has a spot that is not kept                      *)
(*  first2, crop2, grid2 == the two layers in the words of border.v           *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern padding correlation border stencil.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Border2.
Variables (c0 c1 c2 h0 w0 h1 w1 h2 w2 : nat) (av1 ah1 av2 ah2 : axis).
Local Notation av := (after av1 av2).
Local Notation ah := (after ah1 ah2).
Local Notation Inp := ('I_c0 * 'I_h0 * 'I_w0)%type.
Local Notation Mid := ('I_c1 * 'I_h1 * 'I_w1)%type.
Local Notation Out := ('I_c2 * 'I_h2 * 'I_w2)%type.
Local Notation T1 := ('I_c0 * 'I_(taps av1) * 'I_(taps ah1))%type.
Local Notation T2 := ('I_c1 * 'I_(taps av2) * 'I_(taps ah2))%type.
Local Notation Spot := ('I_c1 * nat * nat)%type.

Section Positions.
Local Open Scope nat_scope.

Definition spot (v : Out) (t : T2) : Spot :=
  (t.1.1, v.1.2 * stride av2 + t.1.2 * dilation av2, v.2 * stride ah2 + t.2 * dilation ah2).
Definition kept (z : Spot) : bool :=
  (before av2 <= z.1.2 < before av2 + h1) && (before ah2 <= z.2 < before ah2 + w1).
Definition seen (z : Spot) (t : T1) : bool :=
  (before av <= z.1.2 * stride av1 + t.1.2 * dilation av1 < before av + h0) &&
  (before ah <= z.2 * stride ah1 + t.2 * dilation ah1 < before ah + w0).

Definition border2 (v : Out) : bool :=
  [exists t2, ~~ kept (spot v t2) && [exists t1, seen (spot v t2) t1]].
Definition border2_bias (v : Out) : bool := [exists t2, ~~ kept (spot v t2)].

(* an inner rectangle that no border reaches *)
Theorem border2_inner (v : Out) :
  before av2 <= v.1.2 * stride av2 ->
  v.1.2 * stride av2 + dilation av2 * (taps av2).-1 < before av2 + h1 ->
  before ah2 <= v.2 * stride ah2 ->
  v.2 * stride ah2 + dilation ah2 * (taps ah2).-1 < before ah2 + w1 ->
  ~~ border2_bias v.
Proof.
have tap k d (t : 'I_k) : t * d <= d * k.-1.
  by rewrite mulnC leq_mul2l -ltnS (ltn_predK (ltn_ord t)) ltn_ord orbT.
move=> top bottom left right; apply/existsPn => t2; rewrite negbK.
apply/andP; split; apply/andP; split.
- exact: leq_trans top (leq_addr _ _).
- by apply: leq_ltn_trans bottom; rewrite leq_add2l tap.
- exact: leq_trans left (leq_addr _ _).
- by apply: leq_ltn_trans right; rewrite leq_add2l tap.
Qed.

Theorem border2_sub v : border2 v -> border2_bias v.
Proof. by case/existsP=> t2 /andP[out _]; apply/existsP; exists t2. Qed.

(* no border at all, bias or not, if the second layer is not padded, *)
Theorem border2_unpadded (v : Out) :
  before av2 = 0 -> before ah2 = 0 -> 0 < stride av2 -> 0 < stride ah2 ->
  dilation av2 * (taps av2).-1 < h1 -> dilation ah2 * (taps ah2).-1 < w1 ->
  h2 = out_size h1 (taps av2) (stride av2) (dilation av2) ->
  w2 = out_size w1 (taps ah2) (stride ah2) (dilation ah2) ->
  ~~ border2_bias v.
Proof.
move=> pv ph sv sh fitv fith Eh Ew; apply: border2_inner; rewrite ?pv ?ph ?add0n ?leq0n //.
  by rewrite -(out_sizeP _ sv fitv) -Eh.
by rewrite -(out_sizeP _ sh fith) -Ew.
Qed.

(* and none without a bias, if the first layer is 1x1, neither strided nor padded *)
Theorem border2_pointwise (v : Out) :
  taps av1 = 1 -> taps ah1 = 1 -> stride av1 = 1 -> stride ah1 = 1 ->
  before av1 = 0 -> before ah1 = 0 -> h1 = h0 -> w1 = w0 -> ~~ border2 v.
Proof.
move=> kv kh sv sh pv ph Eh Ew; apply/existsPn => t2; apply/nandP.
case: (boolP (kept _)) => [_|out]; [by left | right].
apply/existsPn => -[[c i] j]; apply: contra out; rewrite /seen /kept /after /=.
have zero k (t : 'I_k) : k = 1 -> t = 0 :> nat by move=> k1; case: t; rewrite k1 => -[].
by rewrite (zero _ i kv) (zero _ j kh) sv sh pv ph Eh Ew !muln1 !mul0n !mul1n !add0n !addn0.
Qed.

End Positions.

(* the two layers in the words of border.v *)
Definition first2 (z : Spot) (t : T1) : option Inp :=
  place (Some t.1.1)
    (src h0 (before av) Zeros (z.1.2 * stride av1 + t.1.2 * dilation av1))
    (src w0 (before ah) Zeros (z.2 * stride ah1 + t.2 * dilation ah1)).
Definition crop2 (z : Spot) : option Mid :=
  place (Some z.1.1) (src h1 (before av2) Zeros z.1.2) (src w1 (before ah2) Zeros z.2).
Definition grid2 (m : Mid) : Spot := (m.1.1, before av2 + m.1.2, before ah2 + m.2)%N.

Lemma place_None (A B C : eqType) (a : A) (b : option B) (c : option C) :
  (place (Some a) b c == None) = ~~ ((b != None) && (c != None)).
Proof. by case: b => [b|] //; case: c. Qed.

Lemma crop2_None z : (crop2 z == None) = ~~ kept z.
Proof. by rewrite place_None !src_zerosN. Qed.

Lemma first2_None z t : (first2 z t != None) = seen z t.
Proof. by rewrite place_None !src_zerosN negbK. Qed.

Lemma crop2K z m : crop2 z = Some m -> grid2 m = z.
Proof.
have srcK n b (j : nat) (i : 'I_n) : src n b Zeros j = Some i -> (b + i)%N = j.
  rewrite /src; case: leqP => // bj; case: insubP => // i' _ Ei [<-].
  by rewrite Ei subnKC.
case: z m => [[q i] j] [[q' i'] j']; rewrite /crop2 /grid2 /=.
case Ei: src => [a|] //; case Ej: src => [b|] // [<- <- <-].
by rewrite (srcK _ _ _ _ Ei) (srcK _ _ _ _ Ej).
Qed.

Lemma border2E v : border first2 spot crop2 v = border2 v.
Proof.
apply: eq_existsb => t2; rewrite crop2_None; congr (_ && _).
by apply: eq_existsb => t1; rewrite first2_None.
Qed.

Lemma border2_biasE v : border_bias spot crop2 v = border2_bias v.
Proof. by apply: eq_existsb => t2; rewrite crop2_None. Qed.

Section Kernels.
Variable K : comRingType.
Variable kern1 : 'I_c1 -> 'I_c0 -> 'I_(taps av1) -> 'I_(taps ah1) -> K.
Variable kern2 : 'I_c2 -> 'I_c1 -> 'I_(taps av2) -> 'I_(taps ah2) -> K.
Variables (bias : 'I_c1 -> K) (x : Inp -> K).
Let k1 (z : Spot) (t : T1) : K := kern1 z.1.1 t.1.1 t.1.2 t.2.
Let k2 (v : Out) (t : T2) : K := kern2 v.1.1 t.1.1 t.1.2 t.2.
Let b (z : Spot) : K := bias z.1.1.

Lemma layer1_grid m : layer1 first2 k1 x (grid2 m) = xcorr kern1 x m.
Proof.
apply: eq_bigr => t1 _; congr (_ * value x _).
rewrite /first2 /xcorr_read /read /grid2 /= !mulnDl ![(before _ * stride _)%N]mulnC -!addnA.
by rewrite !src_zeros_shift.
Qed.

Lemma netE v : net first2 spot crop2 grid2 k1 k2 x v = xcorr kern2 (xcorr kern1 x : Mid -> K) v.
Proof.
apply: eq_bigr => t2 _; congr (_ * _); rewrite -[xcorr_read _ _ _ _]/(crop2 (spot v t2)).
by case: crop2 => //= m; rewrite layer1_grid.
Qed.

Lemma net_biasE v :
  net_bias first2 spot crop2 grid2 k1 k2 b x v =
  xcorr kern2 (fun m : Mid => xcorr kern1 x m + bias m.1.1) v.
Proof.
apply: eq_bigr => t2 _; congr (_ * _); rewrite -[xcorr_read _ _ _ _]/(crop2 (spot v t2)).
by case: crop2 => //= m; rewrite /layer1_bias layer1_grid.
Qed.

Lemma fusedE v : fused first2 spot k1 k2 x v = xcorr (compose kern1 kern2) x v.
Proof. by rewrite xcorr_compose. Qed.

(* away from the border, two convolutions are one, whatever the kernels and the input *)
Theorem composition_exact (v : Out) : ~~ border2 v ->
  xcorr kern2 (xcorr kern1 x : Mid -> K) v = xcorr (compose kern1 kern2) x v.
Proof. by rewrite -border2E -netE -fusedE => inner; apply: fused_exact crop2K _ _ _ _ _. Qed.

(* with a bias between them, away from the wider border *)
Theorem composition_bias_exact (v : Out) : ~~ border2_bias v ->
  xcorr kern2 (fun m : Mid => xcorr kern1 x m + bias m.1.1) v =
  xcorr (compose kern1 kern2) x v + \sum_(t : T2) kern2 v.1.1 t.1.1 t.1.2 t.2 * bias t.1.1.
Proof.
rewrite -border2_biasE -net_biasE -fusedE => inner.
rewrite (fused_bias_exact first2 crop2K) // -big_split; apply: eq_bigr => t _.
exact: mulrDr.
Qed.

(* by how much it is wrong at the border: what the zero padding between the layers cuts off *)
Theorem composition_error (v : Out) :
  xcorr (compose kern1 kern2) x v - xcorr kern2 (xcorr kern1 x : Mid -> K) v =
  \sum_(t2 : T2 | ~~ kept (spot v t2)) kern2 v.1.1 t2.1.1 t2.1.2 t2.2 *
    \sum_(t1 : T1) kern1 t2.1.1 t1.1.1 t1.1.2 t1.2 * value x (first2 (spot v t2) t1).
Proof.
rewrite -netE -fusedE (fused_error first2 spot crop2K); apply: eq_bigl => t.
exact: crop2_None.
Qed.

End Kernels.

(* the border is the exact set: at each of its positions some network is wrong *)
Theorem composition_wrong (K : comRingType) (v : Out) : border2 v ->
  exists (kern1 : 'I_c1 -> 'I_c0 -> 'I_(taps av1) -> 'I_(taps ah1) -> K)
         (kern2 : 'I_c2 -> 'I_c1 -> 'I_(taps av2) -> 'I_(taps ah2) -> K) (x : Inp -> K),
    xcorr kern2 (xcorr kern1 x : Mid -> K) v != xcorr (compose kern1 kern2) x v.
Proof.
rewrite -border2E => /(fused_wrong K crop2K)[k1 [k2 [x wrong]]].
exists (fun _ c i j => k1 (c, i, j)), (fun _ c i j => k2 (c, i, j)), x.
have e1 : (fun (_ : Spot) (t : T1) => k1 (t.1.1, t.1.2, t.2)) =2 (fun=> k1) by move=> ? [[]].
have e2 : (fun (_ : Out) (t : T2) => k2 (t.1.1, t.1.2, t.2)) =2 (fun=> k2) by move=> ? [[]].
by rewrite -netE -fusedE (eq_net _ _ _ _ _ e1 e2) (eq_fused _ _ _ e1 e2).
Qed.

Theorem composition_bias_wrong (K : comRingType) (v : Out) : border2_bias v ->
  exists (kern1 : 'I_c1 -> 'I_c0 -> 'I_(taps av1) -> 'I_(taps ah1) -> K)
         (kern2 : 'I_c2 -> 'I_c1 -> 'I_(taps av2) -> 'I_(taps ah2) -> K)
         (bias : 'I_c1 -> K) (x : Inp -> K),
    xcorr kern2 (fun m : Mid => xcorr kern1 x m + bias m.1.1) v !=
    xcorr (compose kern1 kern2) x v + \sum_(t : T2) kern2 v.1.1 t.1.1 t.1.2 t.2 * bias t.1.1.
Proof.
case/existsP=> t out.
pose kern1 (_ : 'I_c1) (_ : 'I_c0) (_ : 'I_(taps av1)) (_ : 'I_(taps ah1)) : K := 0.
pose kern2 (_ : 'I_c2) q i j : K := ((q, i, j) == t)%:R.
exists kern1, kern2, (fun=> 1), (fun=> 0).
have kt t' : kern2 v.1.1 t'.1.1 t'.1.2 t'.2 = (t' == t)%:R by case: t' => [[]].
have -> : xcorr (compose kern1 kern2) ((fun=> 0) : Inp -> K) v = 0.
  by apply: big1 => t' _; case: xcorr_read => [?|]; rewrite /= mulr0.
rewrite add0r {1}/xcorr (bigD1 t) //= [X in _ != X](bigD1 t) //= kt eqxx !mul1r.
rewrite [X in _ + X != _]big1 ?addr0 => [|t' /negPf t't]; last by rewrite kt t't mul0r.
rewrite [X in _ != _ + X]big1 ?addr0 => [|t' /negPf t't]; last by rewrite kt t't mul0r.
rewrite -[xcorr_read _ _ _ _]/(crop2 (spot v t)); move: out; rewrite -crop2_None => /eqP ->.
by rewrite eq_sym oner_eq0.
Qed.

(* one network shows them all: every tap 1, every input 1 *)
Section Ones.
Variable K : numDomainType.
Let ones1 (_ : 'I_c1) (_ : 'I_c0) (_ : 'I_(taps av1)) (_ : 'I_(taps ah1)) : K := 1.
Let ones2 (_ : 'I_c2) (_ : 'I_c1) (_ : 'I_(taps av2)) (_ : 'I_(taps ah2)) : K := 1.
Let image (_ : Inp) : K := 1.

Theorem composition_ones (v : Out) :
  (xcorr ones2 (xcorr ones1 image : Mid -> K) v != xcorr (compose ones1 ones2) image v) = border2 v.
Proof.
apply/idP/idP=> [|/existsP[t2 /andP[out /existsP[t1 sees]]]].
  by apply: contraR => /(composition_exact ones1 ones2 image) ->.
have count z t : value image (first2 z t) = (seen z t)%:R.
  by rewrite -first2_None; case: first2.
rewrite eq_sym -subr_eq0 composition_error.
have -> : \sum_(t | ~~ kept (spot v t)) ones2 v.1.1 t.1.1 t.1.2 t.2 * (\sum_(t' : T1)
      ones1 t.1.1 t'.1.1 t'.1.2 t'.2 * value image (first2 (spot v t) t')) =
    (\sum_(t | ~~ kept (spot v t)) \sum_(t' : T1) seen (spot v t) t')%:R.
  rewrite natr_sum; apply: eq_bigr => t _; rewrite mul1r natr_sum; apply: eq_bigr => t' _.
  by rewrite mul1r count.
by rewrite pnatr_eq0 (bigD1 t2) //= (bigD1 t1) //= sees.
Qed.

End Ones.

End Border2.

Print Assumptions border2_inner.
Print Assumptions border2_sub.
Print Assumptions border2_unpadded.
Print Assumptions border2_pointwise.
Print Assumptions composition_exact.
Print Assumptions composition_bias_exact.
Print Assumptions composition_error.
Print Assumptions composition_wrong.
Print Assumptions composition_bias_wrong.
Print Assumptions composition_ones.
