(******************************************************************************)
(*      Stencil composition: two convolutions are one, away from the border   *)
(*                                                                            *)
(* A zero-padded layer is given by its two axes and its kernel.  Two layers   *)
(* are the one layer whose kernel is the product of their kernels as matrices *)
(* of polynomials in the shifts y and z; the stride of the first spreads the  *)
(* taps of the second.  Where the two differ, stencil_border.v says.          *)
(*                                                                            *)
(*   axis == the record of one axis: taps, stride, dilation, and before, the  *)
(*           zeros before it (those behind it only make the output longer)    *)
(*   read n a u i == where output u and tap i read an axis of length n        *)
(*   xcorr av ah kern x == the convolution of x, the padding in it            *)
(*   after a1 a2 == the axis of the composed layer, a2 after a1:              *)
(*           s1 d2 (k2 - 1) + d1 (k1 - 1) + 1 taps, stride s1 s2, dilation 1, *)
(*           before p1 + s1 p2                                                *)
(*   joint_ord a1 a2 j i == the tap that tap i of a1 and tap j of a2 make     *)
(*   compose kern1 kern2 == the composed kernel: the sum, over all pairs of   *)
(*           taps that meet, of the products                                  *)
(*   stencil y z kern == the matrix of the sums over i, j of                  *)
(*           kern_(i, j) y^i z^j                                              *)
(*   meet t2 t1 == the tap that tap t2 of the second and t1 of the first make *)
(*   number == K -> K[y][z], the numbers as polynomials                       *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern padding correlation border.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Record axis := Axis { taps : nat; stride : nat; dilation : nat; before : nat }.

Section Axes.
Local Open Scope nat_scope.

Definition read n (a : axis) (u i : nat) : option 'I_n :=
  src n (before a) Zeros (u * stride a + i * dilation a).

Lemma src_zeros_shift n b k j : src n (b + k) Zeros (k + j) = src n b Zeros j.
Proof. by rewrite /src [b + k]addnC leq_add2l subnDl. Qed.

Lemma src_zerosN n b j : (src n b Zeros j != None) = (b <= j < b + n).
Proof. by rewrite src_zeros negb_or -leqNgt -ltnNge. Qed.

Variables (a1 a2 : axis).

Definition after : axis :=
  Axis (dilation a2 * stride a1 * (taps a2).-1 + dilation a1 * (taps a1).-1).+1
       (stride a1 * stride a2) 1 (before a1 + stride a1 * before a2).

Definition joint (j : 'I_(taps a2)) (i : 'I_(taps a1)) : nat :=
  j * (dilation a2 * stride a1) + i * dilation a1.

Lemma joint_lt j i : joint j i < taps after.
Proof.
have tap k d (t : 'I_k) : t * d <= d * k.-1.
  by rewrite mulnC leq_mul2l -ltnS (ltn_predK (ltn_ord t)) ltn_ord orbT.
by rewrite ltnS leq_add ?tap.
Qed.

Definition joint_ord j i : 'I_(taps after) := Ordinal (joint_lt j i).

(* two reads in a row are one read *)
Lemma read_after n u (j : 'I_(taps a2)) (i : 'I_(taps a1)) :
  src n (before after) Zeros ((u * stride a2 + j * dilation a2) * stride a1 + i * dilation a1)
  = read n after u (joint_ord j i).
Proof.
rewrite /read /= muln1 /joint mulnDl addnA -!mulnA.
by rewrite [stride a2 * _]mulnC.
Qed.

End Axes.

(* one layer of the axis `after`, its input padded enough behind, is as long as the two layers *)
Theorem out_size_after n behind1 behind2 (a1 a2 : axis) :
  let n1 := out_size (before a1 + n + behind1) (taps a1) (stride a1) (dilation a1) in
  (0 < stride a1)%N -> (0 < stride a2)%N ->
  (dilation a1 * (taps a1).-1 < before a1 + n + behind1)%N ->
  (dilation a2 * (taps a2).-1 < before a2 + n1 + behind2)%N ->
  out_size (before a2 + n1 + behind2) (taps a2) (stride a2) (dilation a2) =
  out_size (before (after a1 a2) + n + (behind1 + stride a1 * behind2))
           (taps (after a1 a2)) (stride (after a1 a2)) 1.
Proof.
move=> n1 s1 s2 fit1 fit2.
set D1 := (dilation a1 * _)%N in fit1; set D2 := (dilation a2 * _)%N in fit2.
set N1 := (before a1 + n + behind1)%N in n1 fit1 fit2 *.
have inner w : (w < before a2 + n1 + behind2)%N =
    (w * stride a1 + D1 < N1 + stride a1 * (before a2 + behind2))%N.
  rewrite addnAC addnC; case: (leqP (before a2 + behind2) w) => [/subnKC <-|wp].
    rewrite [(n1 + _)%N]addnC ltn_add2l out_sizeP // mulnDl [(stride a1 * _)%N]mulnC.
    by rewrite -addnA [(N1 + _)%N]addnC ltn_add2l.
  rewrite ltn_addl //; apply/esym; rewrite addnC -addSn leq_add // mulnC leq_mul2l ltnW ?orbT //.
have padded : (before (after a1 a2) + n + (behind1 + stride a1 * behind2) =
               N1 + stride a1 * (before a2 + behind2))%N.
  by rewrite mulnDr /= [(before a1 + _ + n)%N]addnAC addnACA.
have last u : (u * stride (after a1 a2) + 1 * (taps (after a1 a2)).-1 =
               (u * stride a2 + D2) * stride a1 + D1)%N.
  by rewrite /= mul1n mulnDl addnA mulnAC [(stride a1 * _)%N]mulnC mulnA.
have fit : (1 * (taps (after a1 a2)).-1 < N1 + stride a1 * (before a2 + behind2))%N.
  by have := last 0%N; rewrite !mul0n !add0n => ->; rewrite -inner.
rewrite padded; set l := out_size _ _ _ _; set r := out_size _ _ _ _.
have same u : (u < l)%N = (u < r)%N.
  by rewrite !out_sizeP ?muln_gt0 ?s1 ?s2 // last inner.
by apply/eqP; rewrite eqn_leq leqNgt same ltnn leqNgt -same ltnn.
Qed.

(* one layer *)
Section OneLayer.
Variables (K : comRingType) (ci co h w oh ow : nat) (av ah : axis).
Local Notation Inp := ('I_ci * 'I_h * 'I_w)%type.
Local Notation Out := ('I_co * 'I_oh * 'I_ow)%type.
Variable kern : 'I_co -> 'I_ci -> 'I_(taps av) -> 'I_(taps ah) -> K.

Definition xcorr_read (o : Out) (t : 'I_ci * 'I_(taps av) * 'I_(taps ah)) : option Inp :=
  place (Some t.1.1) (read h av o.1.2 t.1.2) (read w ah o.2 t.2).
Definition xcorr (x : Inp -> K) (o : Out) : K :=
  \sum_t kern o.1.1 t.1.1 t.1.2 t.2 * value x (xcorr_read o t).

(* it is conv2d of the zero-padded input, whatever the padding behind the axes *)
Theorem xcorr_conv2d bottom right x :
  xcorr x =1 conv2d (g := 1) (stride av) (stride ah) (dilation av) (dilation ah)
               (fun o c i j => kern o (cast_ord (divn1 ci) c) i j)
               (pad2 Zeros (top := before av) (bottom := bottom)
                           (left := before ah) (right := right) x).
Proof.
have behind n b r j : obind (fun i : 'I_(b + n + r) => src n b Zeros i) (insub j) = src n b Zeros j.
  case: insubP => [i _ <-|] //=; rewrite -leqNgt => bnr.
  apply/esym/eqP; rewrite src_zeros (leq_trans _ bnr) ?orbT //.
  by rewrite -addnA leq_add2l leq_addr.
case=> [[o u] v]; rewrite /xcorr sum3 /= (reindex (cast_ord (divn1 ci))) /=; last first.
  by exists (cast_ord (esym (divn1 ci))) => i _; rewrite ?cast_ordK ?cast_ordKV.
have group0 m : (o %/ (co %/ 1) * m = 0)%N by rewrite divn1 divn_small // mul0n.
apply: eq_bigr => c _; apply: eq_bigr => i _; apply: eq_bigr => j _; congr (_ * _).
rewrite /at3 /pad2 value_comp group0 (valK (cast_ord (divn1 ci) c)) /xcorr_read /read /=.
rewrite -(behind _ _ bottom) -(behind _ _ right).
by do 2 case: insub => [?|] //=; case: src.
Qed.

End OneLayer.

(* two layers *)
Section Compose.
Variables (K : comRingType) (c0 c1 c2 : nat) (av1 ah1 av2 ah2 : axis).
Local Notation av := (after av1 av2).
Local Notation ah := (after ah1 ah2).
Local Notation T1 := ('I_c0 * 'I_(taps av1) * 'I_(taps ah1))%type.
Local Notation T2 := ('I_c1 * 'I_(taps av2) * 'I_(taps ah2))%type.
Local Notation T := ('I_c0 * 'I_(taps av) * 'I_(taps ah))%type.
Variable kern1 : 'I_c1 -> 'I_c0 -> 'I_(taps av1) -> 'I_(taps ah1) -> K.
Variable kern2 : 'I_c2 -> 'I_c1 -> 'I_(taps av2) -> 'I_(taps ah2) -> K.

(* the tap that a tap of the second layer and one of the first make together *)
Definition meet (t2 : T2) (t1 : T1) : T :=
  (t1.1.1, joint_ord t2.1.2 t1.1.2, joint_ord t2.2 t1.2).

Definition compose (o : 'I_c2) (c : 'I_c0) (i : 'I_(taps av)) (j : 'I_(taps ah)) : K :=
  \sum_(t2 : T2) \sum_(t1 : T1 | meet t2 t1 == (c, i, j))
    kern2 o t2.1.1 t2.1.2 t2.2 * kern1 t2.1.1 t1.1.1 t1.1.2 t1.2.

Lemma compose_sum (R : ringType) (phi : {additive K -> R}) (G : T -> R) o :
  \sum_t phi (compose o t.1.1 t.1.2 t.2) * G t =
  \sum_(t2 : T2) \sum_(t1 : T1)
    phi (kern2 o t2.1.1 t2.1.2 t2.2 * kern1 t2.1.1 t1.1.1 t1.1.2 t1.2) * G (meet t2 t1).
Proof.
under eq_bigr do rewrite raddf_sum mulr_suml; rewrite exchange_big; apply: eq_bigr => t2 _ /=.
under eq_bigr do rewrite big_mkcond raddf_sum mulr_suml.
rewrite exchange_big; apply: eq_bigr => t1 _ /=.
rewrite (bigD1 (meet t2 t1)) //= eqxx big1 ?addr0 // => -[[c i] j] /=.
by rewrite eq_sym => /negPf ->; rewrite raddf0 mul0r.
Qed.

(* the first layer continued over its border, then the second: one convolution *)
Theorem xcorr_compose h0 w0 oh ow (x : 'I_c0 * 'I_h0 * 'I_w0 -> K) (v : 'I_c2 * 'I_oh * 'I_ow) :
  xcorr compose x v =
  \sum_(t2 : T2) kern2 v.1.1 t2.1.1 t2.1.2 t2.2 * \sum_(t1 : T1)
    kern1 t2.1.1 t1.1.1 t1.1.2 t1.2 *
    value x (place (Some t1.1.1)
      (src h0 (before av) Zeros
         ((v.1.2 * stride av2 + t2.1.2 * dilation av2) * stride av1 + t1.1.2 * dilation av1))
      (src w0 (before ah) Zeros
         ((v.2 * stride ah2 + t2.2 * dilation ah2) * stride ah1 + t1.2 * dilation ah1))).
Proof.
rewrite /xcorr (compose_sum [additive of idfun]); apply: eq_bigr => t2 _.
rewrite mulr_sumr; apply: eq_bigr => t1 _; rewrite mulrA; congr (_ * value x _).
by rewrite /xcorr_read !read_after.
Qed.

End Compose.

(* kernels as matrices of polynomials *)
Section Polynomials.
Variable K : comRingType.
Local Notation shifts := {poly {poly K}}.

Definition number : {rmorphism K -> shifts} := [rmorphism of polyC \o polyC].

Definition stencil co ci kh kw (y z : shifts) (kern : 'I_co -> 'I_ci -> 'I_kh -> 'I_kw -> K) :
    'M[shifts]_(co, ci) :=
  \matrix_(o, c) \sum_(i < kh) \sum_(j < kw) number (kern o c i j) * (y ^+ i * z ^+ j).

(* composition is the product; the stride of the first layer spreads the second *)
Theorem stencil_compose c0 c1 c2 (av1 ah1 av2 ah2 : axis) y z
    (kern1 : 'I_c1 -> 'I_c0 -> 'I_(taps av1) -> 'I_(taps ah1) -> K)
    (kern2 : 'I_c2 -> 'I_c1 -> 'I_(taps av2) -> 'I_(taps ah2) -> K) :
  stencil y z (compose kern1 kern2) =
  stencil (y ^+ (dilation av2 * stride av1)) (z ^+ (dilation ah2 * stride ah1)) kern2
  *m stencil (y ^+ dilation av1) (z ^+ dilation ah1) kern1.
Proof.
apply/matrixP => o c; rewrite !mxE.
pose G (t : 'I_c0 * 'I_(taps (after av1 av2)) * 'I_(taps (after ah1 ah2))) : shifts :=
  (t.1.1 == c)%:R * (y ^+ t.1.2 * z ^+ t.2).
transitivity (\sum_t number (compose kern1 kern2 o t.1.1 t.1.2 t.2) * G t).
  rewrite sum3 (bigD1 c) //= [X in _ + X]big1 ?addr0 => [|c' /negPf c'c]; last first.
    by rewrite big1 // => i _; rewrite big1 // => j _; rewrite /G /= c'c mul0r mulr0.
  by apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite /G /= eqxx mul1r.
rewrite compose_sum sum3; apply: eq_bigr => q _; rewrite !mxE.
rewrite mulr_suml; apply: eq_bigr => i2 _; rewrite mulr_suml; apply: eq_bigr => j2 _ /=.
rewrite sum3 (bigD1 c) //= [X in _ + X]big1 ?addr0 => [|c' /negPf c'c]; last first.
  by rewrite big1 // => i _; rewrite big1 // => j _; rewrite /G /= c'c mul0r mulr0.
rewrite mulr_sumr; apply: eq_bigr => i1 _; rewrite mulr_sumr; apply: eq_bigr => j1 _.
rewrite /G /= eqxx mul1r rmorphM mulrACA; congr (_ * _); first by rewrite /= !polyCM.
by rewrite /joint !exprD mulrACA -!exprM ![(_ * (dilation _ * stride _))%N]mulnC
           ![(_ * dilation _)%N]mulnC.
Qed.

(* the polynomials determine the kernel *)
Theorem stencil_coef co ci kh kw (kern : 'I_co -> 'I_ci -> 'I_kh -> 'I_kw -> K)
    (o : 'I_co) (c : 'I_ci) (i : 'I_kh) (j : 'I_kw) :
  (stencil 'X%:P 'X kern o c)`_j`_i = kern o c i j.
Proof.
have col (a : 'I_kh) :
    (\sum_(b < kw) number (kern o c a b) * ('X%:P ^+ a * 'X ^+ b))`_j = (kern o c a j)%:P * 'X^a.
  rewrite coef_sum (bigD1 j) //= big1 ?addr0 => [|b];
    rewrite mulrA -polyC_exp -polyCM coefCM coefXn.
    by rewrite eqxx mulr1.
  by rewrite -val_eqE eq_sym /= => /negPf ->; rewrite mulr0.
rewrite mxE coef_sum (eq_bigr _ (fun a _ => col a)).
rewrite coef_sum (bigD1 i) //= big1 ?addr0 => [|a]; first by rewrite coefCM coefXn eqxx mulr1.
by rewrite -val_eqE /= => /negPf ai; rewrite coefCM coefXn eq_sym ai mulr0.
Qed.

End Polynomials.

Print Assumptions out_size_after.
Print Assumptions xcorr_conv2d.
Print Assumptions xcorr_compose.
Print Assumptions stencil_compose.
Print Assumptions stencil_coef.
